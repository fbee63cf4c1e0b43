# STDC1-Seg50 on Cityscapes: scaled by 0.125 to 1.5, cropped, tested at half size (512 x 1024).
_base_ = [
    '../_base_/models/stdc_stdc1.py', '../_base_/datasets/cityscapes_512x1024.py',
    '../_base_/schedules/stdc.py', '../_base_/default_runtime.py'
]
crop_size = (512, 1024)  # (h, w)
train_pipeline = [
    *_base_.load_transforms,
    dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.125, 1.5), keep_ratio=True),  # (w, h)
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
model = dict(data_preprocessor=dict(size=crop_size))
