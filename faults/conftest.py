"""Material for the cases, the warm process, and which cases run."""

import os
import shutil
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import CONFIG, ROOT

from .judge import Runner


def pytest_addoption(parser):
    parser.addoption('--all-faults', action='store_true', help='run every case of faults/, not a sixth of them')


def pytest_collection_modifyitems(config, items):
    """Leave five sixths out unless all are asked for; which ones depends on their names alone."""
    if config.getoption('--all-faults', False):
        return
    mine = Path(__file__).parent
    slow = ('test_files', 'test_system')  # each of their cases is a whole run of a command
    out = [item for item in items if mine in item.path.parents and item.get_closest_marker('always') is None
           and (zlib.crc32(item.nodeid.encode()) % 6 or item.path.stem in slow or 'random_edit' in item.name)]
    config.hook.pytest_deselected(items=out)
    left = set(out)
    items[:] = [item for item in items if item not in left]


@pytest.fixture(scope='session')
def runner():
    made = Runner()
    yield made
    made.close()


@pytest.fixture(scope='session')
def material(tmp_path_factory, runner):
    """A folder with a config, its weights, a finished run, images, labels, a video and a dataset on disk."""
    folder = tmp_path_factory.mktemp('faults') / 'material'
    folder.mkdir()
    base = str(ROOT / 'configs' / '_base_' / 'default_runtime.py')
    (folder / 'c.py').write_text(CONFIG.format(base=base) + SMALL, encoding='utf-8')
    draw = np.random.default_rng(0)
    for part in ('images', 'labels'):
        (folder / part).mkdir()
        for number in range(2):
            pixels = draw.integers(0, 11, (48, 64)) if part == 'labels' else draw.integers(0, 256, (48, 64, 3))
            cv2.imwrite(str(folder / part / f'{number}.png'), pixels.astype(np.uint8))
    video = cv2.VideoWriter(str(folder / 'film.avi'), cv2.VideoWriter.fourcc(*'MJPG'), 10, (64, 48))
    for _ in range(6):
        video.write(draw.integers(0, 256, (48, 64, 3)).astype(np.uint8))
    video.release()
    (folder / 'files.py').write_text(FILES, encoding='utf-8')
    status, out, err = runner(('train', 'c.py', '--work-dir', 'run'), folder, 200)
    assert status == 0, err + out
    shutil.copy(folder / 'run' / 'iter_2.pth', folder / 'net.pth')
    import torch

    from bisenet_plugins import BilateralSegmentor
    ours = BilateralSegmentor(
        backbone=dict(type='BilateralNetwork', semantic_branch=dict(type='SemanticBranch', width_mult=0.125),
                      detail_branch=dict(type='DetailBranch', width_mult=0.125)),
        decode_head=dict(type='BGAHead', channels=8), num_classes=2)
    torch.save(ours.state_dict(), folder / 'ours.pth')
    for unused in [*folder.glob('run/2*'), folder / 'run' / 'c.py', *folder.glob('run/best*')]:
        shutil.rmtree(unused) if unused.is_dir() else os.unlink(unused)
    return folder


SMALL = '''
train_cfg.update(max_iters=2, val_interval=2)
train_dataloader.update(num_workers=0, persistent_workers=False)
train_dataloader['dataset'].update(length=4)
val_dataloader['dataset'].update(length=2)
'''
FILES = '''
_base_ = './c.py'
data = dict(_delete_=True, type='BaseSegDataset', data_prefix=dict(img_path='images', seg_map_path='labels'),
            img_suffix='.png', seg_map_suffix='.png', metainfo=dict(classes=[str(number) for number in range(11)]),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')])
train_dataloader = dict(sampler=dict(type='InfiniteSampler', shuffle=False), dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
del data
'''
