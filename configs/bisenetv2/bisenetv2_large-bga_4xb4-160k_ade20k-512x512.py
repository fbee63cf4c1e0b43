# BiSeNet V2-Large (alpha 2, d 3) on ADE20K.
_base_ = './bisenetv2_bga_4xb4-160k_ade20k-512x512.py'
model = dict(
    backbone=dict(detail_branch=dict(width_mult=2.0), semantic_branch=dict(width_mult=2.0, depth_mult=3.0)))
