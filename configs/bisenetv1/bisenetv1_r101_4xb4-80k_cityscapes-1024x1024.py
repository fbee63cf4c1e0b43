# BiSeNet V1 with ResNet-101 on Cityscapes.
_base_ = './bisenetv1_r18_4xb4-80k_cityscapes-1024x1024.py'
model = dict(backbone=dict(semantic_branch=dict(backbone=dict(depth=101))))
