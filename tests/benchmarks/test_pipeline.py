"""mmseg's inference_model against our Predictor."""

import json

from benchmarks.harness import load_image
from benchmarks.pipeline import main, time_pipeline

SCENES = dict(type='StreetSceneDataset', length=2, size=(64, 128))


def test_pipeline_is_timed_and_scored(tmp_path):
    report = time_pipeline(tmp_path, load_image(None, (64, 128)), 1, (32, 64), memory=False, scored=SCENES)
    assert [row['name'] for row in report.rows] == ['mmseg inference_model', 'Predictor, head 1024']
    found = report.checks['scored']
    assert found['images'] == 2 and found['same_pixels'] > 0.95
    first, second = found['mIoU'].values()
    assert 0 < first < 50 and abs(first - second) < 1
    assert report.checks['of_these_no_ties_up_to_rounding'] == 0


def test_runs_from_the_command_line(config, tmp_path):
    out = tmp_path / 'pipeline.json'
    main(['--rounds', '1', '--image-size', '64', '128', '--size', '32', '64', '--no-memory', '--classes', '5',
          '--extra', f'small={config}', '--out', str(out)])
    assert 'agreement of small with Predictor, head 1024' in json.loads(out.read_text())['checks']
