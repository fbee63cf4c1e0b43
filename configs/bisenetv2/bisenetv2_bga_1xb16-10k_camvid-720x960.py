# BiSeNet V2 on CamVid at 720 x 960 (Table 8).
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/camvid_720x960.py', '../_base_/schedules/v2_10k.py',
    '../_base_/default_runtime.py'
]
model = dict(norm_cfg=dict(type='BN'), num_classes=11, data_preprocessor=dict(size=(720, 960)))
