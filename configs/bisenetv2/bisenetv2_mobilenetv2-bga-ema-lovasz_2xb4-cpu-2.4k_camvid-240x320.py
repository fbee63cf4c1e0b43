# Second stage for MobileNetV2 as semantic branch, after bisenetv2_mobilenetv2-bga_1xb8-cpu-1.5k_camvid-192x256, and
# once more from its own weights the third and last: larger crops, averaged weights, drawn scenes and Lovasz-Softmax at
# once, which the network with the paper's branch got one after the other.
_base_ = './bisenetv2_bga-ema-lovasz_2xb4-cpu-0.6k_camvid-240x320.py'
model = dict(backbone=dict(semantic_branch=dict(_delete_=True, type='MobileNetV2')))
max_iters = 2400
optim_wrapper = dict(optimizer=dict(lr=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=100, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=100, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=600)
custom_hooks = [dict(type='EMAHook', momentum=0.005)]
