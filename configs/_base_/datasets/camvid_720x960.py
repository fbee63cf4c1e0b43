# CamVid at 720 x 960, as tools/dataset_converters/camvid.py lays it out from the original 701 images.
_base_ = './camvid_360x480.py'
crop_size = (720, 960)  # (h, w)
image_scale = (960, 720)  # (w, h)
train_pipeline = [
    *_base_.load_transforms,
    dict(_base_.scale_and_crop, scale=image_scale, crop_size=crop_size),
    *_base_.augment_transforms
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
