# STDC1-Seg on ADE20K.
_base_ = [
    '../_base_/models/stdc_stdc1.py', '../_base_/datasets/ade20k_512x512.py',
    '../_base_/schedules/stdc_160k.py', '../_base_/default_runtime.py'
]
model = dict(num_classes=150, data_preprocessor=dict(size=(512, 512)))
