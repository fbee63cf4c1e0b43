# A bilateral network of this project's own parts: ImageNet-initialised EfficientNet-Lite0 under a context path, a narrow
# re-parameterised detail branch, feature fusion.
_base_ = ['../_base_/datasets/camvid_drives_360x480.py', '../_base_/default_runtime.py']
weights = [0.6, 0.6, 2.0, 0.6, 1.0, 0.7, 1.8, 1.6, 0.9, 1.6, 1.7]
booster = dict(type='BoosterHead', channels=64, loss_decode=dict(
    type='OhemCrossEntropyLoss', class_weight=weights, loss_weight=0.4))
max_iters = 2000
model = dict(
    type='BilateralSegmentor',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(360, 480), mean=[127.0] * 3, std=[128.0] * 3, bgr_to_rgb=True, pad_val=0,
                           seg_pad_val=255, test_cfg=dict(size_divisor=1)),
    num_classes=11,
    norm_cfg=dict(type='BN'),
    backbone=dict(
        type='BilateralNetwork',
        detail_branch=dict(type='DetailBranch', channels=(32, 48, 64), num_convs=(2, 2, 2), reparam=True),
        semantic_branch=dict(
            type='ContextPath',
            channels=96,
            backbone=dict(type='EfficientNetLite', padding='symmetric', init_cfg=dict(
                type='Pretrained', checkpoint='imagenet://efficientnet-lite0')))),
    decode_head=dict(
        type='BGAHead', channels=96, in_index=(0, -2), aggregation=dict(type='FeatureFusion'), aggregation_channels=128,
        loss_decode=dict(type='OhemCrossEntropyLoss', class_weight=weights)),
    auxiliary_head=dict(context8=dict(**booster, in_index=-2), context16=dict(**booster, in_index=-1)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
optim_wrapper = dict(
    type='AutocastOptimWrapper',
    optimizer=dict(type='AdamW', lr=8e-4, weight_decay=0.02),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0,
                       custom_keys={'semantic_branch.backbone': dict(lr_mult=0.5)}))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, begin=0, end=100, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=100, end=max_iters, by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=500)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
custom_hooks = [dict(type='EMAHook', momentum=0.005, begin_iter=100)]
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
