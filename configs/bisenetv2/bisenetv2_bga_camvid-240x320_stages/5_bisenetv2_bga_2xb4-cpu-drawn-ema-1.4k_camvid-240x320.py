# Fifth stage: the fourth one's data, longer, from a higher learning rate to zero.
_base_ = './4_bisenetv2_bga_2xb4-cpu-drawn-ema-0.4k_camvid-240x320.py'
load_from = 'work_dirs/4_bisenetv2_bga_2xb4-cpu-drawn-ema-0.4k_camvid-240x320/iter_400.pth'
optim_wrapper = dict(optimizer=dict(lr=0.03))
param_scheduler = [dict(_base_.warmup, end=50), dict(_base_.decay, begin=50, end=1400)]
train_cfg = dict(max_iters=1400, val_interval=700)
custom_hooks = [dict(type='EMAHook', momentum=0.005)]
