"""Scores on changed images."""

import json

import cv2
import numpy as np
import pytest

from benchmarks import robustness


def test_a_change_that_a_network_does_not_stand_costs_score(tmp_path, monkeypatch):
    label = np.arange(16 * 22).reshape(16, 22).astype(np.uint8) % 11
    for folder, array in (('images', np.repeat(label[..., None] * 20, 3, axis=2)), ('labels', label)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / 'a.png'), array)
    monkeypatch.setattr(robustness, 'Predictor', lambda name: lambda image: np.minimum(image[..., 1] // 20, 10))
    robustness.main(['exact', '--images', str(tmp_path / 'images' / '*.png'), '--labels', str(tmp_path / 'labels'),
                     '--out', str(tmp_path / 'a.json')])
    scores = {row['name']: row['exact'] for row in json.loads((tmp_path / 'a.json').read_text())['rows']}
    assert scores['as they are'] == scores['grey'] == scores['blue x 0.75, red x 1.25'] == 100
    assert scores['values x 0.45'] < 50 and scores['Gaussian blur, sigma 1.5'] < 50
    mean = scores.pop('mean')
    assert mean == pytest.approx(np.mean(list(scores.values())), abs=0.01)


@pytest.mark.parametrize('change', robustness.CHANGES.values(), ids=list(robustness.CHANGES))
def test_a_changed_image_is_an_image_of_the_same_size(change):
    image = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)
    before = image.copy()
    changed = change(image)
    assert changed.shape == image.shape and changed.dtype == np.uint8
    np.testing.assert_array_equal(image, before)
