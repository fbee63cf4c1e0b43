"""What networks cost: hand-counted layers, known receptive fields, and the paper's columns."""

from pathlib import Path

import pytest
from mmengine.config import Config
from torch import nn

from benchmarks.paper_tables import READING, TABLES, count_table, fit_head_width, format_table
from bisenet_plugins.cli.complexity import build_uncounted, format_complexity, measure, receptive_fields

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


@pytest.mark.parametrize('name', ['3a', '3c', '5'])
def test_every_difference_to_the_base_row_is_the_papers(name):
    """Within 0.05 GFLOPs; rows of another alpha depend on the head's width, see the next test."""
    rows = [row for row in count_table(name, CONFIGS) if row.row.alpha == 1]
    assert len(rows) >= 4
    for row in rows:
        assert row.difference == pytest.approx(row.paper_difference, abs=0.05), row.row.name


def test_width_column_and_the_unknown_head():
    rows = count_table('5', CONFIGS)
    large, wide = rows[-1], rows[4]
    assert large.difference - wide.difference == pytest.approx(32.57, abs=0.05)
    for row in rows:  # one integer width each
        assert row.fitted_gflops == pytest.approx(row.row.gflops, abs=0.05), row.row.name
    *rules, reading = fit_head_width(rows[:5])
    assert all(max(map(abs, rule.residuals)) > 0.5 for rule in rules)
    assert max(map(abs, rules[-1].residuals[1:])) < 0.01  # the four wider rows lie on one line
    assert reading.rule == READING
    assert all(abs(residual - reading.residuals[0]) < 0.05 for residual in reading.residuals)


def test_the_document_holds_what_is_counted():
    text = (ROOT / 'docs' / 'paper_tables.md').read_text(encoding='utf-8')
    for name in ('3c', '5'):
        assert format_table(name, count_table(name, CONFIGS)) in text
    assert all(table.title in text for table in TABLES.values())
    assert all((CONFIGS / row.config).is_file() for table in TABLES.values() for row in table.rows)


def test_overrides_are_laid_over_the_config():
    narrow = build_uncounted(V2, model__decode_head__channels=16)
    assert narrow.decode_head.channels == 16


def test_unknown_table_is_refused():
    with pytest.raises(ValueError, match="name must be one of .*, got '9'"):
        count_table('9', CONFIGS)
