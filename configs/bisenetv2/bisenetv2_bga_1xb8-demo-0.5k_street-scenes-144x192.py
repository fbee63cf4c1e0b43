# BiSeNet V2 on scenes that it draws itself: what `make demo` trains, in minutes on a CPU.
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/street_scenes_144x192.py', '../_base_/schedules/demo_500.py',
    '../_base_/default_runtime.py'
]
model = dict(norm_cfg=dict(type='BN'), num_classes=11, data_preprocessor=dict(size=(144, 192)))
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=50))
