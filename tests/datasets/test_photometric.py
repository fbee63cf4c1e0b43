"""Tables give bit for bit what arithmetic on every pixel gives."""

import numpy as np
import pytest
from mmseg.datasets.transforms import PhotoMetricDistortion

from bisenet_plugins.datasets.photometric import PhotoMetricDistortionByTable

SETTINGS = dict(brightness_delta=40, contrast_range=(0.4, 1.7), saturation_range=(0.3, 1.6), hue_delta=25)


@pytest.mark.parametrize('settings', [{}, SETTINGS])
def test_equals_mmseg_from_the_same_seed(settings):
    ours, theirs = PhotoMetricDistortionByTable(**settings), PhotoMetricDistortion(**settings)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    changed = 0
    for seed in range(60):
        outs, drawn = [], []
        for distort in (ours, theirs):
            np.random.seed(seed)
            outs.append(distort(dict(img=image.copy()))['img'])
            drawn.append(np.random.random_sample())
        np.testing.assert_array_equal(*outs)
        assert drawn[0] == drawn[1] and outs[0].dtype == np.uint8
        changed += bool((outs[0] != image).any())
    assert changed > 30


def test_floating_point_goes_the_other_way():
    image = np.random.default_rng(0).uniform(0, 255, (8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(
        PhotoMetricDistortionByTable().convert(image, 1.2, 3), PhotoMetricDistortion().convert(image, 1.2, 3))
