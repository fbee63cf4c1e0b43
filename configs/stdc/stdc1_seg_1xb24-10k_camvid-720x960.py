# STDC1-Seg on CamVid: scaled by 0.5 to 2.5, at full size.
_base_ = [
    '../_base_/models/stdc_stdc1.py', '../_base_/datasets/camvid_720x960.py', '../_base_/schedules/stdc_10k.py',
    '../_base_/default_runtime.py'
]
crop_size = (720, 960)  # (h, w)
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(960, 720), ratio_range=(0.5, 2.5), keep_ratio=True),  # (w, h)
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(batch_size=24, dataset=dict(pipeline=train_pipeline))
model = dict(num_classes=11, data_preprocessor=dict(size=crop_size))
