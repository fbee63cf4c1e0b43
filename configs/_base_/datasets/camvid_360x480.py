# CamVid at 360 x 480, as tools/dataset_converters/camvid.py lays it out from the SegNet form.
_base_ = './common.py'
dataset_type = 'CamVidDataset'
data_root = 'data/camvid'
crop_size = (360, 480)  # (h, w)
image_scale = (480, 360)  # (w, h)
scale_and_crop = dict(
    type='RandomScaleCropWarp',
    scale=image_scale,
    ratio_range=(0.5, 2.0),
    crop_size=crop_size,
    cat_max_ratio=0.75,
    pad_val=(104, 116, 124))
augment_transforms = [
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortionByTable'),
    dict(type='PackSegInputs')
]
train_pipeline = [*_base_.load_transforms, scale_and_crop, *augment_transforms]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=True),  # nothing for CamVid's own images, what others need
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
tta_resizes = [dict(type='Resize', scale_factor=r, keep_ratio=True) for r in (0.75, 1.0, 1.25)]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[tta_resizes, *_base_.tta_transforms])
]
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='train', seg_map_path='trainannot'),
        pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='val', seg_map_path='valannot'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
