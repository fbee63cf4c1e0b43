"""The convert command: what it prints, and that a refusal writes nothing."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from bisenet_plugins.cli.options import find_config

DEPTHWISE = 'bisenetv2/bisenetv2_bga-depthwise_4xb4-150k_cityscapes-512x1024.py'


def test_ours_become_mmsegs_and_come_back(bisenet, tmp_path):
    weights = MODELS.build(Config.fromfile(find_config(DEPTHWISE)).model).state_dict()
    torch.save(weights, tmp_path / 'ours.pth')
    status, told, failure = bisenet('convert', 'ours.pth', 'mmseg.pth', '--to', 'mmseg', '--dry-run')
    assert status == 0, failure
    assert 'nothing written (dry run)' in told and not Path('mmseg.pth').exists()
    assert bisenet('convert', 'ours.pth', 'mmseg.pth', '--to', 'mmseg')[0] == 0
    status, told, _ = bisenet('convert', 'mmseg.pth', 'back.pth', '--no-auxiliary')
    assert status == 0 and 'written: back.pth' in told
    back = torch.load('back.pth', weights_only=True)['state_dict']
    assert set(back) == {name for name in weights if not name.startswith('auxiliary_head')}


def test_a_foreign_file_is_one_sentence_and_writes_nothing(bisenet, tmp_path):
    torch.save({'conv1.weight': torch.ones(1)}, tmp_path / 'a.pth')
    status, told, failure = bisenet('convert', 'a.pth', 'b.pth')
    assert (status, told) == (1, '') and failure.startswith('error: ') and 'conv1.weight' in failure
    assert len(failure.splitlines()) == 1 and not Path('b.pth').exists()
    assert bisenet('convert', 'none.pth', 'b.pth') == (1, '', 'error: no checkpoint at none.pth\n')
