"""The Ray benchmark compares the results too."""

import json

import pytest

from benchmarks.ray_engine import measure_ray


@pytest.mark.slow
def test_both_ways_give_equal_results(tmp_path):
    pytest.importorskip('ray')
    config = tmp_path / 'config.py'
    config.write_text(
        "default_scope = 'mmseg'\n"
        "model = dict(type='EncoderDecoder', data_preprocessor=dict(type='SegDataPreProcessor'),\n"
        "    backbone=dict(type='MobileNetV2', widen_factor=0.25, out_indices=(0, 1)),\n"
        "    decode_head=dict(type='FCNHead', in_channels=8, in_index=1, channels=8, num_convs=1, num_classes=3,\n"
        "                     align_corners=False),\n"
        "    train_cfg=dict(), test_cfg=dict(mode='whole'))\n", encoding='utf-8')
    record = measure_ray(config, pictures=4, sides=(32, 48), out=tmp_path / 'ray.json')
    assert json.loads((tmp_path / 'ray.json').read_text()) == record
    assert (record['done'], record['failed']) == (4, 1)
    assert record['equal_pixels'] > 0.999  # sums in another order, where threads differ
    assert record['resumed'] == dict(done=0, skipped=4, failed=1)
    assert record['ray']['pictures_per_second'] > 0


@pytest.mark.parametrize('settings', [dict(pictures=0), dict(workers=0)])
def test_refuses_wrong_settings(settings):
    with pytest.raises(ValueError, match='one or more of each are wanted'):
        measure_ray('config.py', **settings)
