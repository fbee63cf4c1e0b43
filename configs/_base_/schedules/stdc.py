# STDC-Seg: SGD 0.01, poly 0.9, weight decay 5e-4, 60,000 iterations of batch 48 on Cityscapes, of which 1,000 warm up
# from 1e-5. Variants set the length in train_cfg and in the decay, and the warm-up.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0))
warmup = dict(type='LinearLR', start_factor=1e-3, begin=0, end=1000, by_epoch=False)
decay = dict(type='PolyLR', power=0.9, eta_min=0.0, begin=1000, end=60000, by_epoch=False)
param_scheduler = [warmup, decay]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=60000, val_interval=3000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=48)
