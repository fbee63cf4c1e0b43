# BiSeNet V1 with Xception39 on CamVid.
_base_ = './bisenetv1_r18_1xb16-10k_camvid-720x960.py'
model = dict(
    backbone=dict(semantic_branch=dict(backbone=dict(_delete_=True, type='Xception39'))),
    auxiliary_head=dict(context8=dict(channels=128), context16=dict(channels=128)))
