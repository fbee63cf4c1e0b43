# Synthetic street scenes with CamVid's 11 classes, drawn while training runs: no file on disk, nothing to download.
_base_ = './common.py'
dataset_type = 'StreetSceneDataset'
image_size = (180, 240)  # (h, w)
crop_size = (144, 192)  # (h, w); what the network sees in training
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    *_base_.augment_transforms
]
# The dataset draws where this pipeline reads files; inference on images of your own reads them.
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
tta_resizes = [dict(type='Resize', scale_factor=r, keep_ratio=True) for r in (0.75, 1.0, 1.25)]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[tta_resizes, *_base_.tta_transforms])
]
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    drop_last=True,
    dataset=dict(
        type=dataset_type, length=400, seed=1, size=image_size, cache_size=400, pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(type=dataset_type, length=60, seed=2, size=image_size, pipeline=test_pipeline, test_mode=True))
test_dataloader = val_dataloader
