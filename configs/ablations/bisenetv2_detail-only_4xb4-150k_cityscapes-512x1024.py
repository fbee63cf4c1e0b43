# Table 2, the detail branch alone.
_base_ = './bisenetv2_bga-no-booster_4xb4-150k_cityscapes-512x1024.py'
model = dict(
    backbone=dict(_delete_=True, type='DetailBranch'),
    decode_head=dict(
        _delete_=True,
        type='BoosterHead',
        channels=128,
        in_index=0,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)))
