# BiSeNet V2 on a CPU for ten minutes, from a checkpoint of the 1.2k recipe.
_base_ = './v2_2400.py'
max_iters = 400
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=20, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=200)
