# Cityscapes in BiSeNet V2's protocol: scaled by 0.75 to 2, cropped at 2048 x 1024, resized to 1024 x 512.
_base_ = './common.py'
dataset_type = 'CityscapesDataset'
data_root = 'data/cityscapes/'
crop_size = (512, 1024)  # (h, w)
train_pipeline = [
    *_base_.load_transforms,
    dict(type='RandomScaleCropWarp', scale=(2048, 1024), ratio_range=(0.75, 2.0), crop_size=(1024, 2048),
         size=crop_size, pad_val=(104, 116, 124)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortionByTable'),
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1024, 512), keep_ratio=False),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
tta_resizes = [dict(type='Resize', scale=(round(1024 * r), round(512 * r))) for r in (0.75, 1.0, 1.5, 2.0)]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[tta_resizes, *_base_.tta_transforms])
]
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
