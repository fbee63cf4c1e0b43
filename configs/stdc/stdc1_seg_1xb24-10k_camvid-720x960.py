# STDC1-Seg on CamVid: scaled by 0.5 to 2.5, at full size.
_base_ = [
    '../_base_/models/stdc_stdc1.py', '../_base_/datasets/camvid_720x960.py',
    '../_base_/schedules/stdc.py', '../_base_/default_runtime.py'
]
crop_size = (720, 960)  # (h, w)
train_pipeline = [
    *_base_.load_transforms,
    dict(type='RandomResize', scale=(960, 720), ratio_range=(0.5, 2.5), keep_ratio=True),  # (w, h)
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(batch_size=24, dataset=dict(pipeline=train_pipeline))
model = dict(num_classes=11, data_preprocessor=dict(size=crop_size))
param_scheduler = [dict(_base_.warmup, end=200), dict(_base_.decay, begin=200, end=10000)]
train_cfg = dict(max_iters=10000, val_interval=1000)
auto_scale_lr = dict(base_batch_size=24)
