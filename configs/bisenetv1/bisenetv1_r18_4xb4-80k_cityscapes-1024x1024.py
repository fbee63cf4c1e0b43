# BiSeNet V1 with ResNet-18 on Cityscapes: scaled by one of five factors, cropped, tested at full size.
_base_ = [
    '../_base_/models/bisenetv1_r18.py', '../_base_/datasets/cityscapes_512x1024.py',
    '../_base_/schedules/bisenetv1.py', '../_base_/default_runtime.py'
]
crop_size = (1024, 1024)  # (h, w)
train_pipeline = [
    *_base_.load_transforms,
    dict(
        type='RandomChoiceResize',
        scales=[(1536, 768), (2048, 1024), (3072, 1536), (3584, 1792), (4096, 2048)],  # (w, h)
        resize_type='Resize',
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    *_base_.augment_transforms
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
tta_resizes = [dict(type='Resize', scale_factor=r, keep_ratio=True) for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[tta_resizes, *_base_.tta_transforms])
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(data_preprocessor=dict(size=crop_size))
