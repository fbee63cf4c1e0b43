# BiSeNet V2 on CamVid at 360 x 480, the paper's recipe at half its size (Table 8).
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/camvid_360x480.py', '../_base_/schedules/v2_10k.py',
    '../_base_/default_runtime.py'
]
model = dict(norm_cfg=dict(type='BN'), num_classes=11, data_preprocessor=dict(size=(360, 480)))
