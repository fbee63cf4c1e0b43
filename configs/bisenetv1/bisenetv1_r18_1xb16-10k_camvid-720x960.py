# BiSeNet V1 with ResNet-18 on CamVid.
_base_ = [
    '../_base_/models/bisenetv1_r18.py', '../_base_/datasets/camvid_720x960.py',
    '../_base_/schedules/bisenetv1.py', '../_base_/default_runtime.py'
]
model = dict(num_classes=11, data_preprocessor=dict(size=(720, 960)))
param_scheduler = [dict(_base_.warmup, end=200), dict(_base_.decay, begin=200, end=10000)]
train_cfg = dict(max_iters=10000, val_interval=1000)
