# Third stage: the classes as they come, so that the rare ones, found by now, are no longer overrated; the learning rate
# to zero.
_base_ = './2_bisenetv2_bga_2xb4-cpu-balanced-ema-2.4k_camvid-240x320.py'
load_from = 'work_dirs/2_bisenetv2_bga_2xb4-cpu-balanced-ema-2.4k_camvid-240x320/iter_2400.pth'
class_weight = None
model = dict(
    decode_head=dict(loss_decode=dict(class_weight=None)),
    auxiliary_head=dict(
        stage2=dict(loss_decode=dict(class_weight=None)),
        stage3=dict(loss_decode=dict(class_weight=None)),
        stage4=dict(loss_decode=dict(class_weight=None)),
        stage5=dict(loss_decode=dict(class_weight=None))))
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [dict(_base_.warmup, end=50), dict(_base_.decay, begin=50, end=1200)]
train_cfg = dict(max_iters=1200, val_interval=400)
custom_hooks = [dict(type='EMAHook', momentum=0.005)]
