"""What networks cost: hand-counted layers."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import Registry, init_default_scope
from mmseg.registry import MODELS
from torch import nn

from bisenet_plugins.models import DetailBranch
from bisenet_plugins.models.cost import build_uncounted, format_complexity, measure

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
V2 = CONFIGS / 'bisenetv2' / 'bisenetv2_bga_4xb4-150k_cityscapes-512x1024.py'


def segmentor(backbone):
    head = dict(type='BoosterHead', channels=4, in_index=-1, num_classes=2)
    aux = dict(type='BoosterHead', channels=8, in_index=0, num_classes=2)
    return build_uncounted(
        Config(dict(model=dict(type='BilateralSegmentor', backbone=backbone, decode_head=head, auxiliary_head=aux))))


def test_counts_by_hand():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1, groups=2))
    cost = measure(net.train(), (6, 8))
    places = 3 * 4
    assert cost.macs == places * (4 * 27 + 4 * 2)
    assert cost.params == cost.deploy_params == 4 * 27 + 8 + 4 * 2 + 4
    assert net.training and net[1].training


def test_auxiliary_heads_are_not_deployed():
    model = segmentor(dict(type='DetailBranch'))
    cost = measure(model, (32, 64))
    assert cost.params - cost.deploy_params == sum(p.numel() for p in model.auxiliary_head.parameters()) > 0
    assert '(without auxiliary heads)' in format_complexity(cost)


@pytest.mark.parametrize('model', [dict(), dict(data_preprocessor=None)])
def test_a_preprocessor_beside_the_model_counts(model):
    head = dict(type='BoosterHead', channels=4, in_index=-1, num_classes=2)
    model.update(type='BilateralSegmentor', backbone=dict(type='DetailBranch'), decode_head=head)
    beside = dict(type='SegDataPreProcessor', size=(32, 64))
    assert build_uncounted(Config(dict(model=model, data_preprocessor=beside))).data_preprocessor.size == (32, 64)
    inside = Config(dict(model=dict(model, data_preprocessor=dict(beside, size=(64, 96))), data_preprocessor=beside))
    assert build_uncounted(inside).data_preprocessor.size == (64, 96)


def test_names_are_those_of_the_default_scope():
    Registry('model', parent=MODELS, scope='own_costs').register_module(name='OwnBranch', module=DetailBranch)
    head = dict(type='BoosterHead', channels=4, in_index=-1, num_classes=2)
    model = dict(type='BilateralSegmentor', backbone=dict(type='OwnBranch'), decode_head=head)
    try:
        assert type(build_uncounted(Config(dict(default_scope='own_costs', model=model))).backbone) is DetailBranch
    finally:
        del MODELS.children['own_costs']
        init_default_scope('mmseg')


def test_overrides_are_laid_over_the_config():
    narrow = build_uncounted(V2, model__decode_head__channels=16)
    assert narrow.decode_head.channels == 16
