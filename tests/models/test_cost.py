"""What networks cost: hand-counted layers and known receptive fields."""

from pathlib import Path

import pytest
from mmengine.config import Config
from torch import nn

from bisenet_plugins.models.cost import build_uncounted, format_complexity, measure, receptive_fields

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
    assert cost.activations == places * (4 + 4)
    assert cost.paper_flops == cost.macs + (2 + 1) * places * 4
    assert cost.params == cost.deploy_params == 4 * 27 + 8 + 4 * 2 + 4
    assert net.training and net[1].training


def test_auxiliary_heads_are_not_deployed():
    model = segmentor(dict(type='DetailBranch'))
    cost = measure(model, (32, 64))
    assert cost.params - cost.deploy_params == sum(p.numel() for p in model.auxiliary_head.parameters()) > 0
    assert '(without auxiliary heads)' in format_complexity(cost)


@pytest.mark.parametrize(('backbone', 'fields'), [
    (dict(type='DetailBranch'), [67]),
    (dict(type='MobileNetV2'), [19, 59, 267, 491]),  # 491: 1 + the sum of (kernel - 1) * stride before it
    (dict(type='ResNet', depth=18), [43, 99, 211, 435]),
    (dict(type='SemanticBranch'), [15, 79, 207, 719, None]),  # the last one has seen the pooled map
])
def test_receptive_fields(backbone, fields):
    sights = receptive_fields(segmentor(backbone), width=2048)
    assert [sight.receptive_field for sight in sights[:-1]] == fields
    assert sights[-1].name == 'logits'
    wanted = None if fields[-1] is None else fields[-1] + 2 * sights[-1].stride
    assert sights[-1].receptive_field == wanted


def test_overrides_are_laid_over_the_config():
    narrow = build_uncounted(V2, model__decode_head__channels=16)
    assert narrow.decode_head.channels == 16
