# Table 3c, expansion ratio epsilon 8.
_base_ = './bisenetv2_bga-no-booster_4xb4-150k_cityscapes-512x1024.py'
model = dict(backbone=dict(semantic_branch=dict(expand_ratio=8)))
