# Sixth and last stage: beside the main head's loss the one that stands for mIoU itself (Berman et al., The
# Lovasz-Softmax loss, CVPR 2018), in which every class weighs the same.
_base_ = './4_bisenetv2_bga_2xb4-cpu-drawn-ema-0.4k_camvid-240x320.py'
load_from = 'work_dirs/5_bisenetv2_bga_2xb4-cpu-drawn-ema-1.4k_camvid-240x320/iter_1400.pth'
model = dict(
    decode_head=dict(loss_decode=[
        dict(type='OhemCrossEntropyLoss'),
        dict(type='LovaszLoss', loss_type='multi_class', reduction='none', loss_weight=0.5)
    ]))
param_scheduler = [dict(_base_.warmup, end=20), dict(_base_.decay, begin=20, end=600)]
train_cfg = dict(max_iters=600, val_interval=300)
