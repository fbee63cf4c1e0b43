# Table 5, width alpha 2.0.
_base_ = '../bisenetv2/bisenetv2_bga_4xb4-150k_cityscapes-512x1024.py'
model = dict(backbone=dict(detail_branch=dict(width_mult=2.0), semantic_branch=dict(width_mult=2.0)))
