# First of six stages: BiSeNet V2 on CamVid in about three quarters of an hour of CPU time, the paper's recipe cut to
# what a CPU can do, on small crops of 360 x 480 images.
_base_ = [
    '../../_base_/models/bisenetv2.py', '../../_base_/datasets/camvid_360x480.py',
    '../../_base_/schedules/bisenetv2.py', '../../_base_/default_runtime.py'
]
crop_size = (192, 256)  # (h, w)
train_pipeline = [
    *_base_.load_transforms,
    dict(_base_.scale_and_crop, crop_size=crop_size),
    *_base_.augment_transforms
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
model = dict(norm_cfg=dict(type='BN'), num_classes=11, data_preprocessor=dict(size=crop_size))
param_scheduler = [dict(_base_.warmup, end=100), dict(_base_.decay, begin=100, end=1500)]
train_cfg = dict(max_iters=1500, val_interval=300)
auto_scale_lr = dict(base_batch_size=8)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=100))
