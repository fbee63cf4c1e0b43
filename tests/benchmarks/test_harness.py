"""Reports, ratios, peak memory and the command line that benchmarks share."""

import json

import numpy as np
import pytest

from benchmarks.harness import (
    Report,
    apart,
    image_files,
    load_image,
    load_images,
    options,
    parse,
    peak_memory_mb,
    ratio,
    save,
    synchronised,
)
from bisenet_plugins.timing import spread


def test_series_are_compared_round_by_round():
    assert ratio([1.0, 2.0, 9.0], [1.0, 1.0, 3.0]) == dict(of_medians=2.0, p10=1.0, p90=3.0)
    with pytest.raises(ValueError, match='argument 2 is shorter'):
        ratio([1.0, 2.0], [1.0])


def test_report_says_where_its_figures_come_from(tmp_path, capsys):
    report = Report('mask', rows=[dict(name='a', ms=spread([0.01]))], checks=dict(kinds=[dict(kind='b', ms=1)]))
    report.compare(dict(a=[2.0], b=[1.0]), 'a')
    save(report, tmp_path / 'x.json', ['--out', 'a b.json'])
    content = json.loads((tmp_path / 'x.json').read_text())
    assert (content['schema'], content['command']) == (3, "python -m benchmarks.mask --out 'a b.json'")
    assert {'cpu', 'threads', 'versions', 'torch', 'load_average', 'before', 'after'} <= set(content['machine'])
    state = content['machine']['after']
    assert set(state) == {'mhz', 'throttled'} and all(value is None or value >= 0 for value in state.values())
    printed = capsys.readouterr().out
    assert 'a / b: 2.00 x (2.00 to 2.00)' in printed and '| kind | ms |' in printed


def test_options_are_shared(capsys):
    args = parse(options('Time.', 7, image=True), ['--image-size', '8', '16'])
    assert (args.rounds, args.images, args.image_size, args.device) == (7, None, [8, 16], 'cpu')
    with pytest.raises(SystemExit):
        parse(options('Time.', 7), ['--device', 'cuda:99'])
    assert 'cuda:99' in capsys.readouterr().err


def hold(mebibytes):
    before = peak_memory_mb()
    kept = np.ones(mebibytes * 2**20, np.uint8)
    del kept
    return peak_memory_mb() - before


@pytest.mark.slow
def test_peak_memory_is_the_process_own():
    assert 60 < apart(hold, 64) < 80


def test_image_is_read_or_drawn(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / 'a.png'), np.full((4, 6, 3), 9, np.uint8))
    assert (load_image(str(tmp_path / 'a.png'), (8, 12)) == 9).all()
    assert load_image(None, (16, 32)).shape == (16, 32, 3)
    for number in range(3):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((4, 6, 3), 10 + number, np.uint8))
    taken = load_images([str(tmp_path)], (4, 6), most=2)
    assert [image[0, 0, 0] for image in taken] == [10, 12]
    with pytest.raises(ValueError, match='expected images or folders of them, got none'):
        image_files(['none'])
    assert synchronised(len, 'cpu') is len
