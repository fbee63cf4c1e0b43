"""How far maps see, against fields known from the layers."""

import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from benchmarks.receptive_fields import main, receptive_fields
from bisenet_plugins.models.cost import build_uncounted

V2 = Path(__file__).resolve().parents[2] / 'configs/bisenetv2/bisenetv2_bga_1xb16-10k_camvid-360x480.py'


def segmentor(backbone):
    head = dict(type='BoosterHead', channels=4, in_index=-1, num_classes=2)
    aux = dict(type='BoosterHead', channels=8, in_index=0, num_classes=2)
    return build_uncounted(
        Config(dict(model=dict(type='BilateralSegmentor', backbone=backbone, decode_head=head, auxiliary_head=aux))))


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


def test_the_command_prints_every_map(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['receptive_fields', str(V2), '--width', '512'])
    main()
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].split() == 'map 0 stride 8, 128 channels, sees 67 pixels'.split() and lines[-1].startswith('logits')
