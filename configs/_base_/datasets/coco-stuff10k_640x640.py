# COCO-Stuff 10k (9,000 / 1,000 images, 171 classes) as mmseg's converter lays it out: label 0 is "unlabelled". The
# short side becomes 640, the size of BiSeNet V2's Table 9; the rest is ADE20K's protocol.
_base_ = './ade20k_512x512.py'
dataset_type = 'COCOStuffDataset'
data_root = 'data/coco_stuff10k'
crop_size = (640, 640)  # (h, w)
image_scale = (2560, 640)  # (w, h)
train_pipeline = [
    *_base_.load_transforms,
    dict(_base_.random_resize, scale=image_scale),
    dict(_base_.random_crop, crop_size=crop_size),
    *_base_.augment_transforms
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/train2014', seg_map_path='annotations/train2014'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/test2014', seg_map_path='annotations/test2014'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
