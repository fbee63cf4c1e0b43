# STDC1-Seg75 on Cityscapes: trained as Seg50, tested at three quarters of the size (768 x 1536).
_base_ = './stdc1_seg50_3xb16-60k_cityscapes-512x1024.py'
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1536, 768), keep_ratio=False),  # (w, h)
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
tta_resizes = [dict(type='Resize', scale=(round(1536 * r), round(768 * r))) for r in (0.75, 1.0, 1.25)]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[tta_resizes, *_base_.tta_transforms])
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
