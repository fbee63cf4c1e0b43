# BiSeNet V2 as in the paper: Table 1, Figures 3 to 6; boosters on stages 2, 3, 4 and 5_4 (Table 4); OHEM.
# The segmentor hands num_classes and norm_cfg to every part, and each head the channels of the maps that it reads.
model = dict(
    type='BilateralSegmentor',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        test_cfg=dict(size_divisor=1)),
    num_classes=19,
    norm_cfg=dict(type='SyncBN'),
    backbone=dict(
        type='BilateralNetwork', detail_branch=dict(type='DetailBranch'), semantic_branch=dict(type='SemanticBranch')),
    decode_head=dict(
        type='BGAHead',
        channels=128,
        in_index=(0, -1),
        aggregation=dict(type='BilateralGuidedAggregation'),
        loss_decode=dict(type='OhemCrossEntropyLoss')),
    auxiliary_head=dict(
        stage2=dict(type='BoosterHead', channels=16, in_index=1, loss_decode=dict(type='OhemCrossEntropyLoss')),
        stage3=dict(type='BoosterHead', channels=64, in_index=2, loss_decode=dict(type='OhemCrossEntropyLoss')),
        stage4=dict(type='BoosterHead', channels=64, in_index=3, loss_decode=dict(type='OhemCrossEntropyLoss')),
        stage5=dict(type='BoosterHead', channels=128, in_index=4, loss_decode=dict(type='OhemCrossEntropyLoss'))),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
