# Table 5, depth d 4.
_base_ = '../bisenetv2/bisenetv2_bga_4xb4-150k_cityscapes-512x1024.py'
model = dict(backbone=dict(semantic_branch=dict(depth_mult=4.0)))
