"""Rows of overrides: each builds, says what it says, and survives the command line."""

import argparse
import shlex
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, DictAction
from mmseg.registry import MODELS

from benchmarks.variants import ABLATION_BASE, ABLATIONS, NETWORKS, apply_options, command_line
from bisenet_plugins.models.cost import ShapesOnly

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
ROWS = [*((ABLATION_BASE, name, row) for name, row in ABLATIONS.items()),
        *((base, name, NETWORKS[base.split('/')[0]][name])
          for base, names in {
              'bisenetv2/bisenetv2_bga_1xb16-10k_camvid-360x480.py': ['depthwise', 'stdc1'],
              'bisenetv2/bisenetv2_bga_1xb8-demo-1k_street-scenes-144x192.py': NETWORKS['bisenetv2'],
              'bisenetv1/bisenetv1_r18_4xb4-160k_ade20k-512x512.py': NETWORKS['bisenetv1'],
              'stdc/stdc1_seg_4xb4-160k_ade20k-512x512.py': NETWORKS['stdc']}.items() for name in names)]
PLAIN = {name for name in ABLATIONS if name.startswith(('lambda', 'epsilon', 'no-'))} | {
    'detail-only', 'semantic-only', 'sum', 'concat', 'bga-no-booster'}  # cross entropy, no booster
BOOSTERS = {'booster-5': 1, 'booster-45': 2, 'booster-345': 3, 'booster-23455': 5, 'shufflenetv2': 3}
WITHOUT_OHEM = PLAIN | {name for name in ABLATIONS if name.startswith('booster')} | {'bga-no-ohem'}
every_row = pytest.mark.parametrize(('base', 'name', 'row'), ROWS, ids=[f'{b.split("/")[0]}-{n}' for b, n, _ in ROWS])


def built(cfg: Config) -> torch.nn.Module:
    with torch.device('meta'), ShapesOnly():
        return MODELS.build(cfg.model).eval()


@every_row
def test_row_builds_and_classifies(base, name, row):
    if 'mmpretrain' in row.what:
        pytest.importorskip('mmpretrain', reason='mmpretrain is an extra')
    cfg = apply_options(CONFIGS / base, row.options)
    model = built(cfg)
    with torch.no_grad(), ShapesOnly():
        assert model(torch.zeros(1, 3, 65, 97, device='meta')).shape[:2] == (1, cfg.model.num_classes)
    if base == ABLATION_BASE:
        heads = list(getattr(model, 'auxiliary_head', None) or [])
        assert len(heads) == (0 if name in PLAIN else BOOSTERS.get(name, 4))
        losses = {type(head.loss_decode).__name__ for head in (model.decode_head, *heads)}
        assert losses == {'CrossEntropyLoss' if name in WITHOUT_OHEM else 'OhemCrossEntropyLoss'}


@every_row
def test_row_survives_the_command_line(base, name, row):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='*', action=DictAction)
    read = parser.parse_args(['--cfg-options', *shlex.split(command_line(row.options))]).cfg_options
    assert read == row.options


def test_options_leave_the_config_and_the_row_alone():
    cfg = Config.fromfile(CONFIGS / ABLATION_BASE)
    before, row = cfg.to_dict(), ABLATIONS['detail-only']
    options = dict(row.options)
    assert apply_options(cfg, row.options).model.backbone == dict(type='DetailBranch')
    assert cfg.to_dict() == before and row.options == options


def test_rows_differ():
    models = [repr(apply_options(CONFIGS / ABLATION_BASE, row.options).model) for row in ABLATIONS.values()]
    assert len(set(models)) == len(models)
