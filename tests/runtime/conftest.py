"""A small network with a config, as a trained one would have."""

import pytest
from mmengine.config import Config


@pytest.fixture
def small_config() -> Config:
    """MobileNetV2 of a quarter of the width with three classes, tested at twice the image's size."""
    return Config(dict(
        default_scope='mmseg',
        model=dict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True),
            backbone=dict(type='MobileNetV2', widen_factor=0.25, out_indices=(0, 1), norm_cfg=dict(type='SyncBN'),
                          init_cfg=dict(type='Pretrained', checkpoint='https://nowhere.invalid/weights.pth')),
            decode_head=dict(type='FCNHead', in_channels=8, in_index=1, channels=8, num_convs=1, num_classes=3,
                             norm_cfg=dict(type='SyncBN'), align_corners=False),
            train_cfg=dict(), test_cfg=dict(mode='whole')),
        test_dataloader=dict(dataset=dict(
            type='CamVidDataset',
            metainfo=dict(classes=('road', 'car', 'sky'), palette=[[9, 8, 7], [0, 255, 0], [0, 0, 255]]),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale_factor=2.0, keep_ratio=True),
                      dict(type='LoadAnnotations'), dict(type='PackSegInputs')]))))
