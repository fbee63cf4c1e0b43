# BiSeNet V2 at half its width on scenes that it draws itself: what `make demo` trains, in minutes on a CPU.
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/street_scenes_144x192.py',
    '../_base_/schedules/bisenetv2.py', '../_base_/default_runtime.py'
]
model = dict(
    norm_cfg=dict(type='BN'),
    num_classes=11,
    data_preprocessor=dict(size=(144, 192)),
    backbone=dict(detail_branch=dict(width_mult=0.5), semantic_branch=dict(width_mult=0.5)),
    decode_head=dict(channels=64))
param_scheduler = [dict(_base_.warmup, end=50), dict(_base_.decay, begin=50, end=1000)]
train_cfg = dict(max_iters=1000, val_interval=500)
auto_scale_lr = dict(base_batch_size=8)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=100))
