# mmseg's own BiSeNetV2 with its own heads (1024 wide), for comparison under the same data, schedule and seed.
_base_ = [
    '../_base_/datasets/camvid_360x480.py', '../_base_/schedules/bisenetv2.py', '../_base_/default_runtime.py'
]
crop_size = (192, 256)  # (h, w)
train_pipeline = [
    *_base_.load_transforms,
    dict(_base_.scale_and_crop, crop_size=crop_size),
    *_base_.augment_transforms
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
param_scheduler = [dict(_base_.warmup, end=100), dict(_base_.decay, begin=100, end=1500)]
train_cfg = dict(max_iters=1500, val_interval=300)
auto_scale_lr = dict(base_batch_size=8)
norm_cfg = dict(type='BN')
head = dict(
    type='FCNHead',
    num_classes=11,
    norm_cfg=norm_cfg,
    align_corners=False,
    concat_input=False,
    loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0))
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=crop_size),
    backbone=dict(
        type='BiSeNetV2',
        detail_channels=(64, 64, 128),
        semantic_channels=(16, 32, 64, 128),
        semantic_expansion_ratio=6,
        bga_channels=128,
        out_indices=(0, 1, 2, 3, 4),
        align_corners=False,
        norm_cfg=norm_cfg),
    decode_head=dict(in_channels=128, in_index=0, channels=1024, num_convs=1, dropout_ratio=0.1, **head),
    auxiliary_head=[
        dict(in_channels=16, in_index=1, channels=16, num_convs=2, **head),
        dict(in_channels=32, in_index=2, channels=64, num_convs=2, **head),
        dict(in_channels=64, in_index=3, channels=256, num_convs=2, **head),
        dict(in_channels=128, in_index=4, channels=1024, num_convs=2, **head)
    ],
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=100))
