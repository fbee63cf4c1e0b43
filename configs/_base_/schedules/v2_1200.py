# BiSeNet V2 on a CPU for half an hour, from a checkpoint of the 2.4k recipe: to the end of the decay.
_base_ = './v2_2400.py'
max_iters = 1200
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=50, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=400)
