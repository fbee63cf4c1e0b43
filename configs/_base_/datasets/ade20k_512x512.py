# ADE20K (20,210 / 2,000 images, 150 classes) in mmseg's protocol; label 0 is "other" and is ignored.
_base_ = './common.py'
dataset_type = 'ADE20KDataset'
data_root = 'data/ade/ADEChallengeData2016'
crop_size = (512, 512)  # (h, w)
image_scale = (2048, 512)  # (w, h)
random_resize = dict(type='RandomResize', scale=image_scale, ratio_range=(0.5, 2.0), keep_ratio=True)
random_crop = dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75)
train_pipeline = [*_base_.load_transforms, random_resize, random_crop, *_base_.augment_transforms]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
tta_resizes = [dict(type='Resize', scale_factor=r, keep_ratio=True) for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[tta_resizes, *_base_.tta_transforms])
]
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        reduce_zero_label=True,
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        reduce_zero_label=True,
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
