# STDC-Seg over STDC1: context path over the STDC backbone, whose stride-8 map is the detail map; OHEM on the decode
# head and on both refined maps, detail guidance on the detail map.
# The segmentor hands num_classes and norm_cfg to every part, and each head the channels of the maps that it reads.
# To start from an ImageNet checkpoint of STDCClassifier, set backbone.semantic_branch.backbone.init_cfg to
# dict(type='Pretrained', checkpoint=FILE, prefix='backbone.').
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
        type='BilateralNetwork',
        detail_branch=None,
        semantic_branch=dict(
            type='ContextPath',
            backbone=dict(type='STDCBackbone', arch='stdc1'),
            channels=128,
            out_backbone_strides=(8, ),
            upsample_mode='nearest')),
    decode_head=dict(
        type='BGAHead',
        channels=256,
        in_index=(0, -2),  # the detail map, the context at stride 8
        aggregation=dict(type='FeatureFusion', reduction=4),
        aggregation_channels=256,
        dropout_ratio=0.0,
        align_corners=True,
        loss_decode=dict(type='OhemCrossEntropyLoss')),
    auxiliary_head=dict(
        context8=dict(
            type='BoosterHead',
            channels=64,
            in_index=-2,
            dropout_ratio=0.0,
            align_corners=True,
            loss_decode=dict(type='OhemCrossEntropyLoss')),
        context16=dict(
            type='BoosterHead',
            channels=64,
            in_index=-1,
            dropout_ratio=0.0,
            align_corners=True,
            loss_decode=dict(type='OhemCrossEntropyLoss')),
        detail=dict(
            type='DetailGuidanceHead',
            channels=64,
            in_index=0,
            align_corners=True,
            loss_decode=dict(type='DetailLoss'))),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
