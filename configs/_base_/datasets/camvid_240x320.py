# CamVid at 360 x 480, crops for hours on a CPU; scales nearer to that of the test pictures than the paper's 0.5 to 2.
_base_ = './camvid_360x480.py'
crop_size = (240, 320)  # (h, w)
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomScaleCropWarp', scale=(480, 360), ratio_range=(0.75, 1.75), crop_size=crop_size,
         cat_max_ratio=0.75, pad_val=(104, 116, 124)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortionByTable'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
