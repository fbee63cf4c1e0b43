"""What the documents print works: every config builds and trains, every Python example compiles."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', ROOT / 'configs' / 'README.md',
         *sorted(path for path in (ROOT / 'docs').rglob('*.md') if 'node_modules' not in path.parts)]
BLOCKS = [(page, number, block) for page in PAGES for number, block in enumerate(
    re.findall(r'^```python\n(.*?)^```', page.read_text(encoding='utf-8'), re.MULTILINE | re.DOTALL))]
CONFIGS = [entry for entry in BLOCKS if re.search(r'^_base_ =', entry[2], re.MULTILINE)]


def identity(entry) -> str:
    return f'{entry[0].name}-{entry[1]}'


@pytest.mark.parametrize('entry', BLOCKS, ids=identity)
def test_python_compiles(entry):
    page, _, block = entry
    compile(block, str(page), 'exec')


def test_the_readme_begins_with_a_config():
    assert CONFIGS and CONFIGS[0][0].name == 'README.md'


@pytest.mark.parametrize('entry', CONFIGS, ids=identity)
def test_a_printed_config_trains(entry, tmp_path):
    """Built as printed, from the repository's root: preprocessing, losses and boosters included."""
    path = tmp_path / 'printed.py'
    path.write_text(re.sub(r"'configs/", f"'{ROOT.as_posix()}/configs/", entry[2]), encoding='utf-8')
    cfg = Config.fromfile(path)
    preprocessor = cfg.model.data_preprocessor
    assert preprocessor.bgr_to_rgb and preprocessor.mean and preprocessor.std
    model = MODELS.build({**cfg.model, 'norm_cfg': dict(type='BN')}).train()
    assert model.with_auxiliary_head and 'Ohem' in type(model.decode_head.loss_decode).__name__
    sample = SegDataSample(metainfo=dict(img_shape=(64, 96)))
    sample.gt_sem_seg = PixelData(data=torch.randint(0, model.num_classes, (1, 64, 96)))
    losses = model.loss(torch.rand(2, 3, 64, 96), [sample, sample.clone()])
    assert all(torch.isfinite(loss).all() for loss in losses.values())
    assert sum('loss' in name for name in losses) == 1 + len(model.auxiliary_head)
    assert model.eval()(torch.rand(1, 3, 65, 97)).shape[:2] == (1, model.num_classes)
    assert {'train_dataloader', 'optim_wrapper', 'train_cfg', 'val_evaluator'} <= set(cfg)


def test_the_page_of_parts_runs():
    names = dict(__name__='the_page_of_parts')
    for page, _, block in BLOCKS:
        if page.name == 'parts.md':
            exec(compile(block, str(page), 'exec'), names)
    assert names['network'].out_strides[0] == 8
    maps = [torch.rand(2, width, side, side) for width, side in ((128, 16), (128, 4))]
    assert names['head'].eval()(maps).shape == (2, 19, 16, 16)
