# Second stage: larger crops at scales nearer to those of the test images, rare classes weighted up, averaged weights;
# the first four fifths of a decay over 3,000 iterations. From here on two processes of one thread and four crops each,
# which do more than one of two threads and eight crops:
# OMP_NUM_THREADS=1 torchrun --nproc_per_node=2 tools/train.py CONFIG --launcher pytorch
_base_ = [
    '../../_base_/models/bisenetv2.py', '../../_base_/datasets/camvid_360x480.py',
    '../../_base_/schedules/bisenetv2.py', '../../_base_/default_runtime.py'
]
load_from = 'work_dirs/1_bisenetv2_bga_1xb8-cpu-1.5k_camvid-192x256/iter_1500.pth'
crop_size = (240, 320)  # (h, w)
train_pipeline = [
    *_base_.load_transforms,
    dict(_base_.scale_and_crop, ratio_range=(0.75, 1.75), crop_size=crop_size),
    *_base_.augment_transforms
]
train_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(pipeline=train_pipeline))
# Sky, Building, Pole, Road, Pavement, Tree, SignSymbol, Fence, Car, Pedestrian, Bicyclist: near the inverse square root
# of each class's share of the training pixels.
class_weight = [0.6, 0.5, 2.0, 0.5, 0.9, 0.7, 1.8, 1.6, 1.0, 2.0, 1.8]
model = dict(
    norm_cfg=dict(type='BN'),
    num_classes=11,
    data_preprocessor=dict(size=crop_size),
    decode_head=dict(loss_decode=dict(class_weight=class_weight)),
    auxiliary_head=dict(
        stage2=dict(loss_decode=dict(class_weight=class_weight)),
        stage3=dict(loss_decode=dict(class_weight=class_weight)),
        stage4=dict(loss_decode=dict(class_weight=class_weight)),
        stage5=dict(loss_decode=dict(class_weight=class_weight))))
optim_wrapper = dict(optimizer=dict(lr=0.03))
param_scheduler = [dict(_base_.warmup, end=100), dict(_base_.decay, begin=100, end=3000)]
train_cfg = dict(max_iters=2400, val_interval=1000)
auto_scale_lr = dict(base_batch_size=8)
env_cfg = dict(dist_cfg=dict(backend='gloo'))
custom_hooks = [dict(type='EMAHook', momentum=0.002)]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=100))
