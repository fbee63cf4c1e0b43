# BiSeNet V1 with ResNet-18 on COCO-Stuff 10k, at BiSeNet V2's length.
_base_ = [
    '../_base_/models/bisenetv1_r18.py', '../_base_/datasets/coco-stuff10k_640x640.py',
    '../_base_/schedules/bisenetv1.py', '../_base_/default_runtime.py'
]
model = dict(num_classes=171, data_preprocessor=dict(size=(640, 640)))
param_scheduler = [dict(_base_.warmup, end=400), dict(_base_.decay, begin=400, end=20000)]
train_cfg = dict(max_iters=20000, val_interval=2000)
