# STDC1-Seg on COCO-Stuff 10k, at BiSeNet V2's length; not in the paper.
_base_ = [
    '../_base_/models/stdc_stdc1.py', '../_base_/datasets/coco-stuff10k_640x640.py',
    '../_base_/schedules/stdc.py', '../_base_/default_runtime.py'
]
model = dict(num_classes=171, data_preprocessor=dict(size=(640, 640)))
param_scheduler = [dict(_base_.warmup, end=400), dict(_base_.decay, begin=400, end=20000)]
train_cfg = dict(max_iters=20000, val_interval=2000)
auto_scale_lr = dict(base_batch_size=16)
