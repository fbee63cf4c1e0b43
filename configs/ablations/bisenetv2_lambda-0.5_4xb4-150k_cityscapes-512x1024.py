# Table 3a, channel ratio lambda 1/2.
_base_ = './bisenetv2_bga-no-booster_4xb4-150k_cityscapes-512x1024.py'
model = dict(backbone=dict(semantic_branch=dict(channel_ratio=1 / 2)))
