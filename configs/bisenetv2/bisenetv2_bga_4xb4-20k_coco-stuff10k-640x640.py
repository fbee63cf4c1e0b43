# BiSeNet V2 (Table 9) on COCO-Stuff 10k.
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/coco-stuff10k_640x640.py',
    '../_base_/schedules/bisenetv2.py', '../_base_/default_runtime.py'
]
model = dict(num_classes=171, channels_last=True, data_preprocessor=dict(size=(640, 640)))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
param_scheduler = [dict(_base_.warmup, end=400), dict(_base_.decay, begin=400, end=20000)]
train_cfg = dict(max_iters=20000, val_interval=2000)
