# BiSeNet V2 on Cityscapes in the paper's protocol (Tables 2 and 7); the network works at 512 x 1024.
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/cityscapes_512x1024.py',
    '../_base_/schedules/bisenetv2.py', '../_base_/default_runtime.py'
]
model = dict(channels_last=True, data_preprocessor=dict(size=(512, 1024)))
