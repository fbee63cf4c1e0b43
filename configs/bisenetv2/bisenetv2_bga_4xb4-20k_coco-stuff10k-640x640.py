# BiSeNet V2 (Table 9) on COCO-Stuff 10k.
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/coco-stuff10k_640x640.py',
    '../_base_/schedules/v2_20k.py', '../_base_/default_runtime.py'
]
model = dict(num_classes=171, data_preprocessor=dict(size=(640, 640)))
