# Fourth stage: a quarter of the images are street scenes that the project draws itself, so that the network sees other
# streets than those of one town.
_base_ = './3_bisenetv2_bga_2xb4-cpu-ema-1.2k_camvid-240x320.py'
load_from = 'work_dirs/3_bisenetv2_bga_2xb4-cpu-ema-1.2k_camvid-240x320/iter_1200.pth'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        ignore_keys='label_map',
        datasets=[
            dict(
                type='CamVidDataset',
                data_root='data/camvid',
                data_prefix=dict(img_path='train', seg_map_path='trainannot'),
                pipeline=_base_.train_pipeline),
            dict(type='StreetSceneDataset', length=120, seed=100, size=(360, 480), cache_size=120,
                 pipeline=_base_.train_pipeline)
        ]))
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [dict(_base_.warmup, end=20), dict(_base_.decay, begin=20, end=400)]
train_cfg = dict(max_iters=400, val_interval=200)
custom_hooks = [dict(type='EMAHook', momentum=0.01)]
