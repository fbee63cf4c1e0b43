"""What the analyze tool accepts and writes."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from bisenet_plugins.datasets.scenes.painter import paint_scene
from bisenet_plugins.runtime import Predictor

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools' / 'analyze.py'


@pytest.fixture(autouse=True)
def one_thread():
    """The network is so small that a second thread only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def predictor():
    """V2 of an eighth of the width."""
    return Predictor(Config(dict(
        default_scope='mmseg',
        model=dict(
            type='BilateralSegmentor', num_classes=11, norm_cfg=dict(type='BN'),
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True),
            backbone=dict(type='BilateralNetwork', detail_branch=dict(type='DetailBranch', width_mult=0.125),
                          semantic_branch=dict(type='SemanticBranch', width_mult=0.25)),
            decode_head=dict(type='BGAHead', channels=16)))))


@pytest.fixture
def folder(tmp_path):
    """Two drawn scenes with their labels."""
    for number in range(2):
        for kind, array in zip(('images', 'labels'), paint_scene((48, 64), 0, number)):
            (tmp_path / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / kind / f'{number}.png'), np.asarray(array).astype(np.uint8))
    return tmp_path


def test_the_tool_writes_a_page_for_config_and_checkpoint(predictor, folder, tmp_path, monkeypatch, capsys):
    predictor.cfg.dump(str(tmp_path / 'tiny.py'))
    torch.save(predictor.model.state_dict(), tmp_path / 'tiny.pth')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('bisenet_plugins.weights.store.FOLDER', tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        monkeypatch.setattr(sys, 'path', list(sys.path))
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOL), run_name='__main__')
        return end.value.code

    images, labels = folder / 'images', folder / 'labels'
    assert call('tiny.py', 'tiny.pth', images, '--labels', labels, '--out', 'page.html', '--show', '1') == 0
    assert 'on 2 pictures' in capsys.readouterr().out and '</html>' in Path('page.html').read_text()
    assert call(images) == 1
    assert 'no network comes with this copy of the package; name a config' in capsys.readouterr().err
    assert call('tiny.py', images) == 1
    assert 'behind a config come its checkpoint and the pictures' in capsys.readouterr().err
    assert call('tiny.py', 'tiny.pth', images, '--pretrained', 'a') == 1
    assert '--pretrained takes the place of config and checkpoint' in capsys.readouterr().err
