"""Benchmarks on tiny maps: the figures' form, what is compared, and what is verified beside the times."""

import importlib.util
import json
import time

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from benchmarks.harness import Report, apart, environment, interleave, peak_memory_mb, ratio, spread
from benchmarks.kernels import picture_logits, run_mask, run_matmul
from benchmarks.layers import layer_table
from benchmarks.pairs import pair_configs, run_pipeline, write_pair
from benchmarks.plot import plot_scaling, plot_speed
from benchmarks.runs import load_picture, run_scaling, run_subjects
from benchmarks.subjects import Subject, config_at, open_subject, parse_subject
from benchmarks.train_step import run_train_step, train_steps
from bisenet_plugins.models.fast_network import fast_form


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    cfg = Config(dict(
        default_scope='mmseg',
        model=dict(
            type='BilateralSegmentor', num_classes=5, norm_cfg=dict(type='SyncBN'),
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True),
            backbone=dict(type='DetailBranch', width_mult=0.125),
            decode_head=dict(type='BoosterHead', channels=8, in_index=0),
            train_cfg=dict(), test_cfg=dict(mode='whole')),
        test_pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 32), keep_ratio=False),
                       dict(type='PackSegInputs')]))
    path = tmp_path_factory.mktemp('config') / 'small.py'
    cfg.dump(str(path))
    return str(path)


def test_series_are_interleaved_and_compared_round_by_round():
    calls = []
    times = interleave(dict(a=lambda: calls.append('a'), b=lambda: calls.append('b')), 3, warmup=1)
    assert ''.join(calls) == 'ab' * 4 and [len(series) for series in times.values()] == [3, 3]
    assert ratio([1.0, 2.0, 9.0], [1.0, 1.0, 3.0]) == dict(of_medians=2.0, p10=1.0, p90=3.0)
    assert spread([0.001 * n for n in range(1, 101)])['p99'] == 100.0
    assert interleave(dict(a=lambda: time.sleep(0.01)), 1, 0)['a'][0] >= 0.01
    with pytest.raises(ValueError, match='iterations is 0, one or more is wanted'):
        interleave({}, 0)


def test_a_function_is_timed_in_its_own_state():
    calls = []
    functions = {name: lambda name=name: calls.append(name) for name in 'abc'}
    states = dict(a=lambda: calls.append('<'), b=lambda: calls.append('>'))
    times = interleave(functions, 2, 0, states=states)
    assert ''.join(calls) == '<aa>bbc' * 2, 'once uncounted after each change; c takes what it finds'
    assert [len(series) for series in times.values()] == [2, 2, 2]


def test_a_report_says_where_its_figures_come_from(tmp_path):
    report = Report('x', 'a command', rows=[dict(name='a', ms=spread([0.01]))], environment=environment())
    report.compare(dict(a=[2.0], b=[1.0]), 'a')
    report.write(tmp_path / 'x.json')
    content = json.loads((tmp_path / 'x.json').read_text())
    assert (content['schema'], content['command']) == (1, 'a command')
    assert {'cpu', 'threads', 'versions', 'torch', 'load_average'} <= set(content['environment'])
    assert 'a / b: 2.00 x (2.00 to 2.00)' in report.table()


def hold(mebibytes):
    before = peak_memory_mb()
    kept = np.ones(mebibytes * 2**20, np.uint8)
    del kept
    return peak_memory_mb() - before


def test_peak_memory_is_the_process_own():
    assert 60 < apart(hold, 64) < 80


WAYS = ['ours', 'mmseg', pytest.param('openvino', marks=pytest.mark.skipif(
    importlib.util.find_spec('openvino') is None, reason='openvino is not installed'))]


@pytest.mark.parametrize('way', WAYS)
def test_layers_account_for_the_multiplications_and_the_time(config, way):
    subject = open_subject('x', way, config)
    table = layer_table(subject, load_picture(None, (48, 96)), 2)
    assert [row['ms'] for row in table] == sorted((row['ms'] for row in table), reverse=True)
    assert {'3 x 3', '3 x 3, stride 2', '1 x 1', 'all else'} <= {row['kind'] for row in table}
    assert sum(row.get('gmacs', 0) for row in table) == pytest.approx(subject.gmacs, abs=0.005)
    assert sum(row['percent'] for row in table) == pytest.approx(100, abs=1)


def test_winograds_layers_are_named():
    layer = nn.Sequential(nn.Conv2d(128, 256, 3, padding=1)).eval()
    with torch.inference_mode():
        fast, x = fast_form(layer), torch.rand(1, 128, 8, 8)
        subject = Subject('x', fast, dict(network=lambda image: fast(x)), network=fast)
        rows = {row['kind']: row for row in layer_table(subject, x.numpy(), 2)}
    assert set(rows) == {'3 x 3, Winograd', 'all else'}
    assert rows['3 x 3, Winograd']['layers'] == 1
    assert rows['3 x 3, Winograd']['gmacs'] == round(0.128 * 0.256 * 9 * 0.064, 3)
    assert layer_table(Subject('x', fast, dict(network=lambda image: fast(x))), x.numpy()) == []


@pytest.mark.parametrize('way', WAYS)
def test_stages_and_whole_give_the_same_map(config, way):
    torch.manual_seed(0)
    subject = open_subject('x', way, config)
    picture = load_picture(None, (48, 96))
    value = picture
    with torch.inference_mode():
        for stage in subject.stages.values():
            value = stage(value)
    least = 0.99 if way == 'mmseg' else 0.9999  # mmseg's stages resize twice, this segmentor as a whole once
    assert (value == subject.whole(picture)).mean() > least
    assert value.shape == (48, 96) and subject.gmacs > 0


def test_subjects_are_timed_whole_and_by_stages(config, tmp_path):
    specs = [dict(name='theirs', way='mmseg', path=config), dict(name='ours', way='ours', path=config)]
    report, _ = run_subjects(specs, load_picture(None, (48, 96)), 2, 1, memory=False)
    assert [row['name'] for row in report.rows] == ['theirs', 'ours']
    for row in report.rows:
        assert set(row['stages_ms']) == {'decode', 'resize', 'normalise', 'network', 'upsample + argmax', 'overlay'}
        assert row['ms']['runs'] == 2
    assert [(row['of'], row['over']) for row in report.ratios] == [('theirs', 'ours')]
    report.write(tmp_path / 'run.json')
    for scores in ({}, dict(theirs=50.0, ours=60.0)):
        plot_speed([tmp_path / 'run.json'], tmp_path / 'run.png', scores)
        assert (tmp_path / 'run.png').read_bytes().startswith(b'\x89PNG')
    with pytest.raises(ValueError, match='each wants a name of its own'):
        run_subjects([specs[0]] * 2, load_picture(None, (48, 96)), 1)


def test_scaling_fits_an_exponent_for_every_stage(config, tmp_path):
    spec = dict(name='ours', way='ours', path=config)
    report = run_scaling(spec, [(32, 64), (64, 128)], 2)
    assert {'whole', 'network', 'upsample + argmax'} <= set(report.checks['exponents'])
    report.write(tmp_path / 'scaling.json')
    plot_scaling(tmp_path / 'scaling.json', tmp_path / 'scaling.png')
    assert (tmp_path / 'scaling.png').is_file()
    Report('mask').write(tmp_path / 'mask.json')
    with pytest.raises(ValueError, match="is of the benchmark 'mask', scaling is wanted"):
        plot_scaling(tmp_path / 'mask.json', tmp_path / 'x.png')
    with pytest.raises(ValueError, match='have no row with a speed'):
        plot_speed([tmp_path / 'mask.json'], tmp_path / 'x.png')
    with pytest.raises(ValueError, match='1 sizes are given, two or more are wanted'):
        run_scaling(spec, [(32, 64)], 1)


def test_the_exponent_is_that_of_the_times(config, monkeypatch):
    from benchmarks import runs as benchmark_runs

    seconds = iter([1.0, 16.0])
    monkeypatch.setattr(benchmark_runs, 'interleave', lambda *_: {'whole': [next(seconds)]})
    report = run_scaling(dict(name='ours', way='ours', path=config), [(32, 64), (64, 128)], 1)
    assert report.checks['exponents']['whole'] == 2.0  # four times the pixels, sixteen times the time


def test_the_fast_map_is_checked_against_one_resize():
    report = run_mask(picture_logits(load_picture(None, (64, 128)), 19, (8, 16)), (64, 128), (128, 256), 2, 0)
    assert report.checks['of_these_no_ties'] == 0
    assert report.checks['agreement_with_two_resizes'] > 0.98
    assert report.checks['classes_in_the_map'] > 2 and len(report.ratios) == 3


def test_networks_are_related_to_matrix_products(config):
    spec = dict(name='ours', way='ours', path=config)
    report = run_matmul(2, 64, [spec], load_picture(None, (128, 256)))
    assert [row['name'] for row in report.rows] == ['matrix product, 64', 'ours', 'matrix product, 64, NumPy']
    assert report.rows[0]['share'] == 1.0 and report.rows[1]['gmacs'] > 0
    for row in report.rows:
        assert row['gflops'] == pytest.approx(2000 * row['gmacs'] / row['ms']['p50'], abs=0.06)
    assert report.checks['where the time goes: ours'] and '| kind | ms |' in report.table()
    with pytest.raises(ValueError, match='networks are given without a picture'):
        run_matmul(1, 8, [spec])


def test_a_configs_size_can_be_changed(config):
    steps = config_at(config, (16, 48)).test_pipeline
    assert [step['type'] for step in steps] == ['LoadImageFromNDArray', 'Resize', 'PackSegInputs']
    assert tuple(steps[1]['scale']) == (48, 16)
    assert len(config_at(config, None, native=True).test_pipeline) == 2


def test_subjects_are_read_from_the_command_line(config, tmp_path):
    assert parse_subject(f'a=mmseg:{config},w.pth') == dict(name='a', way='mmseg', path=config, checkpoint='w.pth')
    assert parse_subject(f'openvino:{config}')['way'] == 'openvino'
    assert parse_subject(config)['name'] == 'small'
    (tmp_path / 'net.onnx').touch()
    assert parse_subject(str(tmp_path / 'net.onnx'))['way'] == 'onnx'
    (tmp_path / 'artifact.json').touch()
    assert parse_subject(str(tmp_path))['way'] == 'artefact'
    with pytest.raises(ValueError, match='none.py is no config'):
        parse_subject('none.py')
    with pytest.raises(ValueError, match="way is 'other', 'ours', 'openvino', 'mmseg', 'artefact' or 'onnx' is wanted"):
        open_subject('x', 'other', config)


def test_the_pair_has_the_same_weights_and_gives_the_same_map(tmp_path):
    picture = load_picture(None, (64, 128))
    paths = write_pair(tmp_path, picture, (32, 64), 16)
    maps = [open_subject(way, way, str(path), str(path.with_suffix('.pth'))).whole(picture)
            for way, path in paths.items()]
    assert (maps[0] == maps[1]).mean() > 0.97 and len(np.unique(maps[0])) > 2
    trained = write_pair(tmp_path / 'trained', picture, (32, 64), 16, str(paths['mmseg'].with_suffix('.pth')))
    first, second = (torch.load(path['ours'].with_suffix('.pth'))['state_dict'] for path in (paths, trained))
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0)


def test_trained_weights_are_narrowed_and_get_classes_that_never_win(tmp_path):
    picture = load_picture(None, (64, 128))
    wide = write_pair(tmp_path / 'wide', picture, (32, 64), 32)['mmseg']
    made = write_pair(tmp_path / 'made', picture, (32, 64), 24, str(wide.with_suffix('.pth')), classes=25)
    subjects = {name: open_subject('mmseg' if name == 'wide' else name, 'mmseg' if name == 'wide' else name, str(path),
                                   str(path.with_suffix('.pth'))) for name, path in dict(made, wide=wide).items()}
    maps = {name: subject.whole(picture) for name, subject in subjects.items()}
    assert maps['mmseg'].max() < 19 and (maps['mmseg'] == maps['ours']).mean() > 0.97
    assert (maps['mmseg'] == maps['wide']).mean() > 0.5  # 24 of 32 channels, fitted to the scores of all
    weights = torch.load(made['mmseg'].with_suffix('.pth'))['state_dict']
    assert weights['decode_head.conv_seg.weight'].shape == (25, 24, 1, 1)


def test_a_pipeline_is_timed_and_scored(tmp_path):
    scenes = dict(type='StreetSceneDataset', length=2, size=(64, 128))
    report = run_pipeline(tmp_path, load_picture(None, (64, 128)), 1, (32, 64), memory=False, scored=scenes)
    assert [row['name'] for row in report.rows] == [
        'mmseg inference_model', 'mmseg inference_model, memory kept', 'Predictor, head 1024']
    found = report.checks['scored']
    assert found['pictures'] == 2 and found['same_pixels'] > 0.95
    first, second = found['mIoU'].values()
    assert 0 < first < 50 and abs(first - second) < 1
    assert report.checks['of_these_no_ties_within_float_noise'] == 0


@pytest.mark.slow
@pytest.mark.parametrize('ohem', [False, True])
def test_both_networks_start_from_the_same_loss(ohem):
    found = [train_steps(name, 2, (64, 64), 1, 'cpu', False, ohem, 5) for name in ('mmseg', 'ours')]
    assert all(len(one['seconds']) == 1 and one['peak_memory_mb'] > 0 for one in found)
    if not ohem:
        torch.testing.assert_close(found[1]['first_loss'], found[0]['first_loss'], rtol=1e-4, atol=1e-4)


def test_no_step_is_refused():
    with pytest.raises(ValueError, match='steps is 0 and rounds is 1, one or more is wanted'):
        run_train_step(1, (32, 32), 0)
    assert set(pair_configs()) == {'mmseg', 'ours'}
