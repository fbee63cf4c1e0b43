# Table 3b, one 5x5 depthwise convolution at stride 2 instead of two 3x3.
_base_ = './bisenetv2_bga-no-booster_4xb4-150k_cityscapes-512x1024.py'
model = dict(backbone=dict(semantic_branch=dict(double_depthwise=False)))
