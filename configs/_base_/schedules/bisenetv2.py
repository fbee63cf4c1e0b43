# BiSeNet V2: SGD 0.05, poly 0.9, weight decay on convolution weights only, 150,000 iterations of batch 16 on
# Cityscapes; the short warm-up is ours. Variants set the length in train_cfg and in the decay, and the warm-up.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0))
warmup = dict(type='LinearLR', start_factor=0.1, begin=0, end=1000, by_epoch=False)
decay = dict(type='PolyLR', power=0.9, eta_min=0.0, begin=1000, end=150000, by_epoch=False)
param_scheduler = [warmup, decay]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=150000, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
