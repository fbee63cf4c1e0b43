# What every data set shares: the transforms around those of its own, loaders that can be resumed, and the metric.
load_transforms = [dict(type='SeedSample'), dict(type='LoadDecoded')]  # images and labels; quick with the extra png
augment_transforms = [
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
# After the sizes, which come first in a list of test-time transforms.
tta_transforms = [
    [dict(type='RandomFlip', prob=p, direction='horizontal') for p in (0.0, 1.0)],
    [dict(type='LoadAnnotations')],
    [dict(type='PackSegInputs')]
]
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='ResumableSampler', shuffle=True))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
