# CamVid for networks that must see roads they have never seen: crops around rare classes, from images enlarged so that
# poles are more than two pixels wide; the drive 0006R0 is held out, what is trained on are 0001TP and 0016E5 of train
# and val.
_base_ = './camvid_360x480.py'
crop_size = (360, 480)  # (h, w)
test_scale = (720, 540)  # (w, h)
held_out = ['0006R0']
kept = ['0001TP', '0016E5']
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomScaleCropWarp', scale=(480, 360), ratio_range=(0.9, 2.2), crop_size=crop_size,
         cat_max_ratio=0.75, focus_classes=(2, 6, 7, 9, 10), focus_prob=0.6, pad_val=(104, 116, 124)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortionByTable'),
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=test_scale, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
split = dict(type='CamVidDataset', data_root='data/camvid', drives=kept, pipeline=train_pipeline)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(**split, data_prefix=dict(img_path='train', seg_map_path='trainannot')),
            dict(**split, data_prefix=dict(img_path='val', seg_map_path='valannot'))
        ]))
val_dataloader = dict(dataset=dict(
    data_prefix=dict(img_path='train', seg_map_path='trainannot'), drives=held_out, pipeline=test_pipeline))
test_dataloader = val_dataloader
