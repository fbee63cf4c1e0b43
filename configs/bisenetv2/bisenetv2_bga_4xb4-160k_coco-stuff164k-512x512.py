# BiSeNet V2 on COCO-Stuff 164k.
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/coco-stuff164k_512x512.py',
    '../_base_/schedules/v2_160k.py', '../_base_/default_runtime.py'
]
model = dict(num_classes=171, data_preprocessor=dict(size=(512, 512)))
