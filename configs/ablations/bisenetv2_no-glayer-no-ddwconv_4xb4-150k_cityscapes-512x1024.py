# Table 3b, a 1x1 gathering convolution and one 5x5 depthwise convolution at stride 2.
_base_ = './bisenetv2_bga-no-booster_4xb4-150k_cityscapes-512x1024.py'
model = dict(backbone=dict(semantic_branch=dict(gather_kernel=1, double_depthwise=False)))
