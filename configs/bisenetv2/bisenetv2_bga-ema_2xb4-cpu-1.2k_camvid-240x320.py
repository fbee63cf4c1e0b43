# Third stage, after bisenetv2_bga-balanced-ema_2xb4-cpu-2.4k_camvid-240x320: the classes as they come, so that the rare
# ones, found by now, are no longer overrated; the learning rate to zero.
# torchrun --nproc_per_node=2 tools/train.py CONFIG --launcher pytorch --cfg-options load_from=CHECKPOINT_OF_STAGE_2
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/camvid_240x320.py', '../_base_/schedules/v2_1200.py',
    '../_base_/default_runtime.py'
]
model = dict(norm_cfg=dict(type='BN'), num_classes=11, data_preprocessor=dict(size=(240, 320)))
train_dataloader = dict(batch_size=4, num_workers=1)
env_cfg = dict(dist_cfg=dict(backend='gloo'))
custom_hooks = [dict(type='EMAHook', momentum=0.005)]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=100))
