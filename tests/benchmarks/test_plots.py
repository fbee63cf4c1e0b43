"""Plots of reports, of this version and of the first."""

import json

import cv2
import pytest

from benchmarks.harness import Report
from benchmarks.plots import plot_growth, plot_speed


@pytest.mark.parametrize('median', ['median', 'p50'])
@pytest.mark.parametrize(('miou', 'height'), [({}, 200), (dict(a=50.0, b=60.0), 450), (dict(a=50.0, b=50.2), 200)])
def test_speed_is_drawn_as_bars_unless_scores_differ(tmp_path, median, miou, height):
    rows = [dict(name='a', ms={median: 10.0}, gmacs=2.0), dict(name='b', ms={median: 20.0}, gmacs=30.0)]
    (tmp_path / 'a.json').write_text(json.dumps(dict(rows=rows)))
    plot_speed([tmp_path / 'a.json'], tmp_path / 'a.png', miou)
    assert cv2.imread(str(tmp_path / 'a.png')).shape == (height, 800, 3)


def test_other_reports_are_refused(tmp_path):
    Report('mask').write(tmp_path / 'mask.json')
    with pytest.raises(ValueError, match='expected a report of growth, got .*mask.json of mask'):
        plot_growth(tmp_path / 'mask.json', tmp_path / 'x.png')
    with pytest.raises(ValueError, match='expected rows with a speed, got none in'):
        plot_speed([tmp_path / 'mask.json'], tmp_path / 'x.png')
