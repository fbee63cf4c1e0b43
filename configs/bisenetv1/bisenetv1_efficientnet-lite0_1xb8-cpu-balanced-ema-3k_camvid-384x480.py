# EfficientNet-Lite0 on all of CamVid's train and val, in bfloat16 on a CPU.
_base_ = [
    '../_base_/models/bisenetv1_efficientnet-lite0.py', '../_base_/datasets/camvid_roads_384x480.py',
    '../_base_/schedules/bisenetv1.py', '../_base_/default_runtime.py'
]
class_weight = [0.6, 0.6, 2.0, 0.6, 1.0, 0.7, 1.8, 1.6, 0.9, 1.6, 1.7]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(loss_decode=dict(class_weight=class_weight)),
    auxiliary_head=dict(
        context8=dict(loss_decode=dict(class_weight=class_weight)),
        context16=dict(loss_decode=dict(class_weight=class_weight))))
optim_wrapper = dict(
    type='AutocastOptimWrapper',
    optimizer=dict(_delete_=True, type='AdamW', lr=5e-4, weight_decay=0.02),
    paramwise_cfg=dict(custom_keys={'semantic_branch.backbone': dict(lr_mult=0.5)}))
# Warm-up, a constant rate that can be prolonged at will, and a linear decay over the last fifth.
param_scheduler = [
    dict(_base_.warmup, start_factor=0.05, end=100),
    dict(_base_.decay, power=1.0, begin=2400, end=3000)
]
train_cfg = dict(max_iters=3000, val_interval=500)
custom_hooks = [dict(type='EMAHook', momentum=0.005, begin_iter=100)]
