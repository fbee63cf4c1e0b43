"""A network so small that timing it takes a moment."""

import pytest
import torch
from mmengine.config import Config


@pytest.fixture(scope='package', autouse=True)
def one_thread():
    """The networks are so small that a second thread only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='package')
def config(tmp_path_factory):
    """Path of a config with 5 classes whose test pipeline resizes to 32 x 64."""
    cfg = Config(dict(
        default_scope='mmseg',
        model=dict(
            type='BilateralSegmentor', num_classes=5, norm_cfg=dict(type='SyncBN'),
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True),
            backbone=dict(type='DetailBranch', width_mult=0.125),
            decode_head=dict(type='BoosterHead', channels=8, in_index=0),
            train_cfg=dict(), test_cfg=dict(mode='whole')),
        test_pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 32), keep_ratio=False),
                       dict(type='PackSegInputs')]))
    path = tmp_path_factory.mktemp('config') / 'small.py'
    cfg.dump(str(path))
    return str(path)
