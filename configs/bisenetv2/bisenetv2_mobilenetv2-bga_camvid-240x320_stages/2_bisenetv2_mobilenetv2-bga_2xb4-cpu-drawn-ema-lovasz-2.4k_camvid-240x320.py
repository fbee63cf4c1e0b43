# Second stage: larger crops, averaged weights, drawn scenes and Lovasz-Softmax at once, which the network with the
# paper's branch got one after the other.
_base_ = '../bisenetv2_bga_camvid-240x320_stages/6_bisenetv2_bga_2xb4-cpu-drawn-ema-lovasz-0.6k_camvid-240x320.py'
load_from = 'work_dirs/1_bisenetv2_mobilenetv2-bga_1xb8-cpu-1.5k_camvid-192x256/iter_1500.pth'
model = dict(backbone=dict(semantic_branch=dict(_delete_=True, type='MobileNetV2')))
optim_wrapper = dict(optimizer=dict(lr=0.05))
param_scheduler = [dict(_base_.warmup, end=100), dict(_base_.decay, begin=100, end=2400)]
train_cfg = dict(max_iters=2400, val_interval=600)
custom_hooks = [dict(type='EMAHook', momentum=0.005)]
