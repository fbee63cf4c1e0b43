# BiSeNet V2 on COCO-Stuff 164k: the paper's recipe for COCO-Stuff at the length that mmseg gives large data sets.
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/coco-stuff164k_512x512.py',
    '../_base_/schedules/bisenetv2.py', '../_base_/default_runtime.py'
]
model = dict(num_classes=171, channels_last=True, data_preprocessor=dict(size=(512, 512)))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
param_scheduler = [_base_.warmup, dict(_base_.decay, end=160000)]
train_cfg = dict(max_iters=160000, val_interval=16000)
