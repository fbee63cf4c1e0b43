# Table 4, boosters on stages 2, 3, 4, 5_4 and 5_5.
_base_ = './bisenetv2_bga-no-ohem_4xb4-150k_cityscapes-512x1024.py'
model = dict(
    auxiliary_head=dict(
        stage5_5=dict(
            type='BoosterHead',
            channels=128,
            in_index=5,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True))))
