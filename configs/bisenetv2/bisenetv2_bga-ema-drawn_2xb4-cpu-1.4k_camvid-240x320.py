# Fifth stage: the fourth one's data (bisenetv2_bga-ema-drawn_2xb4-cpu-0.4k_camvid-240x320), longer, from a higher
# learning rate to zero.
_base_ = './bisenetv2_bga-ema-drawn_2xb4-cpu-0.4k_camvid-240x320.py'
max_iters = 1400
optim_wrapper = dict(optimizer=dict(lr=0.03))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=50, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=700)
custom_hooks = [dict(type='EMAHook', momentum=0.005)]
