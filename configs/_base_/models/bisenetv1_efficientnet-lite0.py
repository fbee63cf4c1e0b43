# BiSeNet V1's paths and fusion over ImageNet weights: EfficientNet-Lite0 under the context path, a narrow detail branch
# that is folded at inference (RepVGG) in place of the spatial path. Not from a paper.
model = dict(
    type='BilateralSegmentor',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.0, 127.0, 127.0],  # what the ImageNet weights were trained with
        std=[128.0, 128.0, 128.0],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        test_cfg=dict(size_divisor=32)),  # elsewhere coarse maps and fine maps lie out of register by some pixels
    num_classes=11,
    norm_cfg=dict(type='BN'),
    backbone=dict(
        type='BilateralNetwork',
        detail_branch=dict(type='DetailBranch', channels=(32, 48, 64), num_convs=(2, 2, 2), reparam=True),
        semantic_branch=dict(
            type='ContextPath',
            channels=96,
            backbone=dict(
                type='EfficientNetLite',
                padding='symmetric',
                act_cfg=dict(type='ReLU'),  # as in the package's weights; ReLU6, as in ImageNet's, scores alike
                init_cfg=dict(type='Pretrained', checkpoint='imagenet://efficientnet-lite0')))),
    decode_head=dict(
        type='BGAHead',
        channels=96,
        in_index=(0, -2),
        aggregation=dict(type='FeatureFusion'),
        aggregation_channels=128,
        loss_decode=dict(type='OhemCrossEntropyLoss')),
    auxiliary_head=dict(
        context8=dict(
            type='BoosterHead',
            channels=64,
            in_index=-2,
            loss_decode=dict(type='OhemCrossEntropyLoss', loss_weight=0.4)),
        context16=dict(
            type='BoosterHead',
            channels=64,
            in_index=-1,
            loss_decode=dict(type='OhemCrossEntropyLoss', loss_weight=0.4))),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
