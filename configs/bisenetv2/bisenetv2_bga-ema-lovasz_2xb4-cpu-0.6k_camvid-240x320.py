# Sixth stage, after bisenetv2_bga-ema-drawn_2xb4-cpu-1.4k_camvid-240x320: beside the main head's loss the one that
# stands for mIoU itself (Berman et al., The Lovasz-Softmax loss, CVPR 2018), in which every class weighs the same.
_base_ = './bisenetv2_bga-ema-drawn_2xb4-cpu-0.4k_camvid-240x320.py'
model = dict(
    decode_head=dict(loss_decode=[
        dict(type='OhemCrossEntropyLoss'),
        dict(type='LovaszLoss', loss_type='multi_class', reduction='none', loss_weight=0.5)
    ]))
max_iters = 600
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=20, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=300)
