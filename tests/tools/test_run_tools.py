"""The tools, called as a user calls them."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bisenet_plugins.weights import store

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
CONFIG = '''
_base_ = {base!r}
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='ResumableSampler'),
    dataset=dict(type='StreetSceneDataset', length=3, size=(32, 48),
                 pipeline=[dict(type='SeedSample'), *pipeline]))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='StreetSceneDataset', length=1, seed=1, size=(32, 48), pipeline=pipeline,
                 test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, size=(32, 48)),
    backbone=dict(type='MobileNetV2', widen_factor=0.25, out_indices=(0, 1)),
    decode_head=dict(type='FCNHead', in_channels=8, in_index=1, channels=8, num_convs=1, num_classes=11),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1, save_best=None))
'''


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run a tool as the main program in an empty folder; hand back its exit status or last words."""
    monkeypatch.chdir(tmp_path)

    def run(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOLS / name), *map(str, arguments)])
        monkeypatch.setattr(sys, 'path', list(sys.path))
        try:
            runpy.run_path(str(TOOLS / name), run_name='__main__')
        except SystemExit as end:
            return end.code
        return 0

    return run


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp('config') / 'small.py'
    path.write_text(CONFIG.format(base=str(TOOLS.parent / 'configs' / '_base_' / 'default_runtime.py')))
    return path


@pytest.mark.parametrize(('tool', 'arguments'), [
    ('train.py', ['none.py']), ('test.py', ['none.py', 'none.pth']), ('demo.py', ['none.py'])])
def test_a_missing_config_is_one_sentence(call, capsys, tool, arguments):
    status = call(tool, *arguments)
    told = f'{status}{capsys.readouterr().err}'
    assert 'error: there is no config at none.py' in told and 'Traceback' not in told
    assert status not in (0, None)


def test_a_network_is_needed_to_predict(call, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(store, 'FOLDER', tmp_path)  # a copy of the package without its network
    assert call('predict.py', 'a.png') == 1
    assert 'name a network by --config and --checkpoint, or run "make demo" first' in capsys.readouterr().err
    assert call('predict.py', 'a.png', '--config', 'a.py') == 1
    assert '--config and --checkpoint go together' in capsys.readouterr().err


def test_demo_then_predict_then_resume(call, capsys, config, tmp_path, monkeypatch):
    monkeypatch.setattr(store, 'FOLDER', tmp_path)
    assert call('demo.py', config) == 1
    told = capsys.readouterr().out
    assert '| Pedestrian |' in told and 'is below the 60 that the demo should reach' in told
    demo = tmp_path / 'work_dirs' / 'demo'
    assert (demo / 'pictures.png').is_file() and (demo / 'curves.png').is_file()

    folder = tmp_path / 'in'
    folder.mkdir()
    cv2.imwrite(str(folder / 'a.png'), np.full((40, 60, 3), 90, np.uint8))
    assert call('predict.py', folder, '--save', 'palette', 'ids') == 0
    assert '1 done (1 pictures), 0 skipped, 0 failed' in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / 'outputs' / 'ids' / 'a.png')).shape == (40, 60, 3)
    (folder / 'b.png').write_bytes(b'no picture')
    assert call('predict.py', folder, '--skip-existing', '--save', 'ids') == 1
    captured = capsys.readouterr()
    assert '0 done (0 pictures), 1 skipped, 1 failed' in captured.out
    assert 'failed: ' in captured.err and 'b.png: is no picture' in captured.err

    options = ['--work-dir', demo, '--resume', '--cfg-options', 'train_cfg.max_iters=3']
    assert call('train.py', config, *options) == 0
    assert (demo / 'last_checkpoint').read_text().endswith('iter_3.pth')
    assert call('test.py', config, demo / 'iter_3.pth', '--work-dir', demo / 'test') == 0


def test_labels_are_shuffled_for_the_control(call, capsys, config):
    assert call('demo.py', config, '--shuffle-labels', '--cfg-options', 'train_cfg.max_iters=1') == 0
    assert 'with shuffled labels, mIoU' in capsys.readouterr().out
    assert call('demo.py', config, '--shuffle-labels', '--cfg-options', 'train_dataloader.dataset.type=A') == 1
    assert '--shuffle-labels works on StreetSceneDataset' in capsys.readouterr().err


def test_the_doctor_finds_this_installation_sound(call, capsys):
    assert call('doctor.py') == 0
    assert 'Everything that is needed is there.' in capsys.readouterr().out
    assert call('doctor.py', '--json') == 0
    assert '"ok": true' in capsys.readouterr().out
