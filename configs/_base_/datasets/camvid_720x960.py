# CamVid at 720 x 960, as tools/dataset_converters/camvid.py lays it out from the original 701 images.
_base_ = './camvid_360x480.py'
crop_size = (720, 960)  # (h, w)
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomScaleCropWarp', scale=(960, 720), ratio_range=(0.5, 2.0), crop_size=crop_size, cat_max_ratio=0.75,
         pad_val=(104, 116, 124)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortionByTable'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
