# Table 3b, the gathering convolution is 1x1 instead of 3x3.
_base_ = './bisenetv2_bga-no-booster_4xb4-150k_cityscapes-512x1024.py'
model = dict(backbone=dict(semantic_branch=dict(gather_kernel=1)))
