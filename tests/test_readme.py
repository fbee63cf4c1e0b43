"""What README.md shows works as it stands there."""

import re
from pathlib import Path

import torch
from mmengine.config import Config
from mmseg.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]


def test_the_config_builds_and_classifies(tmp_path):
    block = re.search(r'```python\n(_base_.*?)```', (ROOT / 'README.md').read_text(encoding='utf-8'), re.S)[1]
    assert len(block.splitlines()) <= 10
    path = tmp_path / 'config.py'
    path.write_text(block.replace('../_base_', str(ROOT / 'configs' / '_base_')), encoding='utf-8')
    cfg = Config.fromfile(path)
    model = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 65, 97)).shape == (1, 11, 9, 13)
