# BiSeNet V2 on CamVid in about three quarters of an hour of CPU time.
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/camvid_192x256.py', '../_base_/schedules/v2_1500.py',
    '../_base_/default_runtime.py'
]
model = dict(norm_cfg=dict(type='BN'), num_classes=11, data_preprocessor=dict(size=(192, 256)))
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=100))
