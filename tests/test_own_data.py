"""docs/own_data.md is followed from its first line to a trained network with a better score than before training."""

import json
import re
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import DATASETS, MODELS, TRANSFORMS

from bisenet_plugins.cli.main import run_command

PAGE = (Path(__file__).resolve().parents[1] / 'docs' / 'own_data.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'^```(python|bash)\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)
ADDITIONS = {block.splitlines()[0][2:]: block for kind, block in BLOCKS
             if kind == 'python' and not re.match(r'# \w+\.py\n', block)}
# one worker and one thread: the tests share the machine
QUICK = ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
         'val_dataloader.persistent_workers=False']


def type_in(block, iterations):
    """Run the lines of a block; the training that the page leads to takes so many of its 40 iterations."""
    for line in block.replace('iter_40', f'iter_{iterations}').splitlines():
        words = line.split()
        if words[0] == 'python':
            runpy.run_path(words[1])
            continue
        words = words[1:]
        if words[0] == 'train':
            words += [] if '--cfg-options' in words else [
                '--cfg-options', f'train_cfg.max_iters={iterations}', f'train_cfg.val_interval={min(iterations, 20)}']
            words += QUICK
        assert run_command(argv=words) == 0, line


def score(folder):
    logs = [json.loads(line) for path in Path(folder).rglob('scalars.json') for line in path.read_text().splitlines()]
    return [line['mIoU'] for line in logs if 'mIoU' in line][-1]


@pytest.fixture(scope='module')
def followed(tmp_path_factory, request):
    """The folder in which the page was followed; where slow tests are left out, the training is a short one."""
    iterations = 2 if 'not slow' in request.config.option.markexpr else 40
    folder = tmp_path_factory.mktemp('own_data')
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    for kind, block in BLOCKS:
        name = re.match(r'# (\w+\.py)\n', block)
        if kind == 'bash':
            type_in(block, iterations)
        elif name:
            (folder / name[1]).write_text(block, encoding='utf-8')
    yield folder
    patch.undo()


@pytest.mark.slow
def test_the_page_leads_to_a_trained_network(followed):
    begin, end = score('work_dirs/one_step'), score('work_dirs/my_config')
    assert end > begin + 15 and end > 50


def test_every_line_of_the_page_runs(followed):
    assert len(list((followed / 'outputs' / 'overlay').iterdir())) == 12
    assert len([line for line in (followed / 'my_config.py').read_text().splitlines() if line[:1] != '#']) <= 25
    logs = ''.join(log.read_text() for log in (followed / 'work_dirs' / 'my_config').glob('2*/*.log'))
    assert logs.count('weights that were not loaded: decode_head.conv_seg (of another shape)') == 1


def test_the_class_weights_are_those_that_the_page_s_check_proposes(followed, capsys):
    assert run_command(argv=['check-data', 'my_config.py']) == 0
    proposed = re.search(r'class_weight=(\[.*\])', capsys.readouterr().out)[1]
    assert f'class_weight = {proposed}\n' in ADDITIONS['unbalanced classes']


@pytest.mark.parametrize('name', ADDITIONS)
def test_an_addition_fits_the_config(followed, name):
    path = followed / 'with_addition.py'
    path.write_text("_base_ = 'my_config.py'\n" + ADDITIONS[name], encoding='utf-8')
    cfg = Config.fromfile(path)
    channels = cfg.model.backbone.detail_branch.get('in_channels', 3)
    model = MODELS.build(cfg.model).train()
    assert model.extract_feat(torch.rand(2, channels, 96, 128))[0].shape[1] == model.backbone.out_channels[0]
    if 'pipeline' in ADDITIONS[name] and channels == 3:
        assert DATASETS.build(cfg.train_dataloader.dataset)[0]['inputs'].shape == (3, 96, 128)
    for hook in cfg.get('custom_hooks') or ():
        assert hook.type in ('EarlyStoppingHook', 'EMAHook')
    pipeline = [TRANSFORMS.build(step) for step in cfg.train_dataloader.dataset.pipeline]
    if channels == 4:
        path = followed / 'four.png'
        cv2.imwrite(str(path), np.full((96, 128, 4), 180, np.uint8))
        cv2.imwrite(str(followed / 'mask.png'), np.zeros((96, 128), np.uint8))
        data = dict(img_path=str(path), seg_map_path=str(followed / 'mask.png'), seg_fields=[], label_map=None,
                    reduce_zero_label=False)
        for step in pipeline[1:]:
            data = step(data)
        assert data['inputs'].shape == (4, 96, 128) and (data['inputs'] == 1).all()
