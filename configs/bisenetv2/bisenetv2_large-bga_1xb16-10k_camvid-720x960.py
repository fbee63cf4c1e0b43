# BiSeNet V2-Large on CamVid at 720 x 960 (Table 8): twice as wide, three times as deep (alpha 2, d 3).
_base_ = './bisenetv2_bga_1xb16-10k_camvid-720x960.py'
model = dict(
    backbone=dict(detail_branch=dict(width_mult=2.0), semantic_branch=dict(width_mult=2.0, depth_mult=3.0)))
