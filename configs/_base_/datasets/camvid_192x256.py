# CamVid at 360 x 480, small crops for training on a CPU.
_base_ = './camvid_360x480.py'
crop_size = (192, 256)  # (h, w)
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomScaleCropWarp', scale=(480, 360), ratio_range=(0.5, 2.0), crop_size=crop_size, cat_max_ratio=0.75,
         pad_val=(104, 116, 124)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortionByTable'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
