"""What the tests of training share: a dataset of files, laid over the tiny config."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def files(tmp_path):
    """Write four images of 48 x 64 pixels with ids 0 to 2; return their folder and the options that train on them."""
    for name in 'abcd':
        for part, array in (('images', np.full((48, 64, 3), 99)), ('labels', np.arange(48 * 64).reshape(48, 64) % 3)):
            (tmp_path / part).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / part / f'{name}.png'), array.astype(np.uint8))
    dataset = dict(_delete_=True, type='BaseSegDataset', data_root=str(tmp_path), img_suffix='.png',
                   data_prefix=dict(img_path='images', seg_map_path='labels'), metainfo=dict(classes=('a', 'b', 'c')))
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    options = {'model.decode_head.num_classes': 3, 'train_dataloader.num_workers': 0, 'val_dataloader.num_workers': 0,
               'train_dataloader.persistent_workers': False, 'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2,
               'train_dataloader.dataset': dict(dataset, pipeline=[dict(type='SeedSample'), *load, dict(
                   type='RandomResize', scale=(64, 48), ratio_range=(1.0, 2.0), keep_ratio=True), dict(
                   type='RandomCrop', crop_size=(48, 64)), dict(type='PackSegInputs')])}
    for split in ('val', 'test'):
        options[f'{split}_dataloader.dataset'] = dict(dataset, pipeline=[*load, dict(type='PackSegInputs')])
    return tmp_path, options
