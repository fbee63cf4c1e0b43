# BiSeNet V2-Large on Cityscapes (Tables 5 and 7): twice as wide, three times as deep (alpha 2, d 3).
_base_ = './bisenetv2_bga_4xb4-150k_cityscapes-512x1024.py'
model = dict(
    backbone=dict(detail_branch=dict(width_mult=2.0), semantic_branch=dict(width_mult=2.0, depth_mult=3.0)))
