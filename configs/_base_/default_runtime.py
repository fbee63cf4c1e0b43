"""What every run has: the parts by plain name, logs, checkpoints, curves and images, and exact resuming."""

default_scope = 'mmseg'
custom_imports = dict(imports=['bisenet_plugins'], allow_failed_imports=False)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=0)
# Without a name of its own it gets the run's: two runs in one process then write to two folders.
visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
tta_model = dict(type='BilateralTTAModel')

# With the sampler ResumableSampler and SeedSample first in the training pipeline, a run that is killed and resumed
# equals one that was not.
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='AtomicCheckpointHook', by_epoch=False, interval=1000, max_keep_ckpts=3, save_best='mIoU', rule='greater'
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    finite=dict(type='FiniteTrainingHook'),
    reproducible=dict(type='ReproducibleTrainingHook'),
    curves=dict(type='CurvesHook'),
    pictures=dict(type='PicturesHook'),
)
