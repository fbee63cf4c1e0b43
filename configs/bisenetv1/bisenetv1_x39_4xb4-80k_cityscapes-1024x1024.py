# BiSeNet V1 with Xception39 on Cityscapes.
_base_ = './bisenetv1_r18_4xb4-80k_cityscapes-1024x1024.py'
model = dict(
    backbone=dict(semantic_branch=dict(backbone=dict(_delete_=True, type='Xception39'))),
    auxiliary_head=dict(context8=dict(channels=128), context16=dict(channels=128)))
