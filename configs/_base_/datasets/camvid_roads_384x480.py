# CamVid for networks that must see roads they have never seen: all of train and val, crops around rare classes from
# images enlarged so that poles are more than two pixels wide, components of rare classes pasted from other images. The
# score is that of one drive, 0006R0; it says something only where that drive is held out of the training.
_base_ = './camvid_360x480.py'
crop_size = (384, 480)  # multiples of the coarsest stride, as the padding of test images makes them
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(768, 576), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='MultiImageMixDataset',
        pipeline=[
            dict(type='PasteComponents', classes=(2, 6, 9, 10)),
            dict(
                _base_.scale_and_crop,
                crop_size=crop_size,
                ratio_range=(0.9, 2.2),
                focus_classes=(2, 6, 7, 9, 10),
                focus_prob=0.6),
            *_base_.augment_transforms
        ],
        dataset=dict(
            type='ConcatDataset',
            datasets=[
                dict(
                    type='CamVidDataset',
                    data_root=_base_.data_root,
                    data_prefix=dict(img_path=part, seg_map_path=f'{part}annot'),
                    pipeline=_base_.load_transforms) for part in ('train', 'val')
            ])))
val_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img_path='train', seg_map_path='trainannot'), drives=['0006R0'], pipeline=test_pipeline))
test_dataloader = val_dataloader
