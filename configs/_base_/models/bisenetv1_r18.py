# BiSeNet V1 over ResNet-18, in the form that the authors released: spatial path, context path, feature fusion; an
# auxiliary head on each refined map, alpha = 1.
# The segmentor hands num_classes and norm_cfg to every part, and each head the channels of the maps that it reads.
# To start from an ImageNet checkpoint, set backbone.semantic_branch.backbone.init_cfg to
# dict(type='Pretrained', checkpoint=FILE): this plain ResNet (7x7 first convolution) fits torchvision's weights.
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
        detail_branch=dict(type='SpatialPath', kernel_sizes=(7, 3, 3), projection_channels=128),
        semantic_branch=dict(
            type='ContextPath',
            backbone=dict(type='ResNet', depth=18),
            channels=128,
            align_corners=True)),
    decode_head=dict(
        type='BGAHead',
        channels=64,
        in_index=(0, -2),  # the detail map, the context at stride 8
        aggregation=dict(type='FeatureFusion'),
        aggregation_channels=256,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    auxiliary_head=dict(
        context8=dict(
            type='BoosterHead',
            channels=256,
            in_index=-2,
            align_corners=True,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
        context16=dict(
            type='BoosterHead',
            channels=256,
            in_index=-1,
            align_corners=True,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True))),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
