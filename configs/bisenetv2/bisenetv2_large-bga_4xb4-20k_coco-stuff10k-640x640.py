# BiSeNet V2-Large (alpha 2, d 3) on COCO-Stuff 10k.
_base_ = './bisenetv2_bga_4xb4-20k_coco-stuff10k-640x640.py'
model = dict(
    backbone=dict(detail_branch=dict(width_mult=2.0), semantic_branch=dict(width_mult=2.0, depth_mult=3.0)))
