# Fourth stage, after bisenetv2_bga-ema_2xb4-cpu-1.2k_camvid-240x320: a quarter of the pictures are street scenes that
# the project draws itself, so that the network sees other streets than those of one town.
_base_ = [
    '../_base_/models/bisenetv2.py', '../_base_/datasets/camvid_240x320.py', '../_base_/schedules/v2_400.py',
    '../_base_/default_runtime.py'
]
model = dict(norm_cfg=dict(type='BN'), num_classes=11, data_preprocessor=dict(size=(240, 320)))
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        ignore_keys='label_map',
        datasets=[
            dict(
                type='CamVidDataset',
                data_root='data/camvid',
                data_prefix=dict(img_path='train', seg_map_path='trainannot'),
                pipeline={{_base_.train_pipeline}}),
            dict(type='StreetSceneDataset', length=120, seed=100, size=(360, 480), cache_size=120,
                 pipeline={{_base_.train_pipeline}})
        ]))
env_cfg = dict(dist_cfg=dict(backend='gloo'))
custom_hooks = [dict(type='EMAHook', momentum=0.01)]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=100))
