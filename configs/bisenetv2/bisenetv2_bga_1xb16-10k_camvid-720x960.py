# BiSeNet V2 on CamVid at 720 x 960 (Table 8).
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/camvid_720x960.py',
    '../_base_/schedules/bisenetv2.py', '../_base_/default_runtime.py'
]
model = dict(norm_cfg=dict(type='BN'), num_classes=11, channels_last=True, data_preprocessor=dict(size=(720, 960)))
param_scheduler = [dict(_base_.warmup, end=200), dict(_base_.decay, begin=200, end=10000)]
train_cfg = dict(max_iters=10000, val_interval=1000)
