"""Growth with pixels, classes, batch and threads."""

import json

import numpy as np
import pytest
from torch import nn

from benchmarks import growth
from bisenet_plugins import load_pretrained, pretrained_names

NAME = pretrained_names()[0]
POINT = dict(height=32, width=64, classes=0, batch=2, threads=1)


def test_a_point_is_measured():
    found = growth.measure_point(NAME, 'torch', dict(POINT, classes=40), 1)
    assert found['backend'] == 'torch' and found['ms']['rounds'] == 1 and found['largest_pair_mb'] > 0


@pytest.mark.parametrize('classes', [3, 11, 30])
def test_classes_that_are_added_never_win(classes):
    from bisenet_plugins import Predictor

    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    cfg, weights = growth._network(NAME, classes)
    predictor = Predictor(cfg, dict(state_dict=weights), backend='torch')
    assert predictor.num_classes == classes and predictor.logits(predictor.preprocess(image)).shape[1] == classes
    if classes >= 11:
        own = Predictor(growth._network(NAME, 0)[0], dict(state_dict=growth._network(NAME, 0)[1]), backend='torch')
        np.testing.assert_array_equal(predictor(image), own(image))


def test_largest_pair_is_that_of_the_first_layer_of_a_network_that_shrinks():
    model = load_pretrained(NAME, backend='torch').model
    first = next(layer for layer in model.backbone.detail_branch.modules() if isinstance(layer, nn.Conv2d))
    maps = 3 * 64 * 96 + first.out_channels * 32 * 48
    assert growth.largest_pair_mb(model, (64, 96)) >= round(4 * maps / 2**20, 1)
    one, two = (growth.largest_pair_mb(model, (64, 96), batch) for batch in (1, 2))
    assert two == pytest.approx(2 * one, abs=0.2)


def test_runs_from_the_command_line_and_fits_exponents(tmp_path, monkeypatch):
    def made(function, name, backend, point, *rest):
        pixels = point['height'] * point['width'] / 131072
        return dict(ms=dict(median=2.0 * pixels, p90=3.0, min=1.0, max=3.0, rounds=1), prediction_mb=pixels**2,
                    peak_memory_mb=1.0, largest_pair_mb=2.0, backend='torch')

    monkeypatch.setattr(growth, 'apart', made)
    growth.main(['--axis', 'pixels', '--out', str(tmp_path / 'a.json')])
    report = json.loads((tmp_path / 'a.json').read_text())
    assert report['checks']['exponents'] == [dict(axis='pixels', time=1.0, memory=2.0)] and len(report['rows']) == 4
    assert report['checks']['memory of the largest prediction over its largest pair of maps'] == 64.0**2 / 2
    assert (tmp_path / 'a.png').read_bytes().startswith(b'\x89PNG')
