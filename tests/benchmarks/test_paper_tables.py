"""The cost columns of the BiSeNet V2 paper agree with our networks."""

from pathlib import Path

import pytest
from torch import nn

from benchmarks.paper_tables import READING, TABLES, count_table, fit_head_width, format_table, measure_as_papers
from benchmarks.variants import ABLATIONS

ROOT = Path(__file__).resolve().parents[2]


def test_counts_by_hand():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1, groups=2))
    cost = measure_as_papers(net, (6, 8))
    places = 3 * 4
    assert cost.macs == places * (4 * 27 + 4 * 2) and cost.activations == places * (4 + 4)
    assert cost.paper_flops == cost.macs + (2 + 1) * places * 4
    assert not net[1]._forward_hooks


@pytest.mark.parametrize('name', ['3a', '3c', pytest.param('5', marks=pytest.mark.slow)])
def test_every_difference_to_the_base_row_is_the_papers(name):
    """Within 0.05 GFLOPs; rows of another alpha depend on the head's width, see the next test."""
    rows = [row for row in count_table(name) if row.row.alpha == 1]
    assert len(rows) >= 4
    for row in rows:
        assert row.difference == pytest.approx(row.paper_difference, abs=0.05), row.row.name


def test_width_column_and_the_unknown_head():
    rows = count_table('5')
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
        assert format_table(name, count_table(name)) in text
    assert all(table.title in text for table in TABLES.values())
    assert all(row.variant in ABLATIONS for table in TABLES.values() for row in table.rows)


def test_unknown_table_is_refused():
    with pytest.raises(ValueError, match="expected name to be one of .*, got '9'"):
        count_table('9')
