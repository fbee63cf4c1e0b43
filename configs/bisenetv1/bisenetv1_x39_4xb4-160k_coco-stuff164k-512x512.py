# BiSeNet V1 with Xception39 on COCO-Stuff 164k.
_base_ = './bisenetv1_r18_4xb4-160k_coco-stuff164k-512x512.py'
model = dict(
    backbone=dict(semantic_branch=dict(backbone=dict(_delete_=True, type='Xception39'))),
    auxiliary_head=dict(context8=dict(channels=128), context16=dict(channels=128)))
