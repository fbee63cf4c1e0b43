"""Every config under configs/ is named by the rule, says only known things, builds, and takes one training step."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample

ROOT = Path(__file__).resolve().parents[1] / 'configs'
CONFIGS = sorted(
    path for path in ROOT.rglob('*.py') if '_base_' not in path.parts and path.relative_to(ROOT).parts[0] != 'deploy'
)
NAME = re.compile(
    r'(?P<algorithm>[a-z0-9-]+)'
    r'(?:_(?P<parts>[a-z0-9.-]+(?:_[a-z0-9.-]+)*?))?'
    r'_(?P<gpus>\d+)xb(?P<batch>\d+)'
    r'(?P<setting>(?:-[a-z0-9.]+)*?)'
    r'-(?P<iters>\d+(?:\.\d+)?)k'
    r'_(?P<dataset>[a-z0-9-]+)'
    r'-(?P<height>\d+)x(?P<width>\d+)'
)
KNOWN_KEYS = {
    # what mmengine's Runner reads
    'model', 'work_dir', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg', 'val_cfg', 'test_cfg',
    'auto_scale_lr', 'optim_wrapper', 'param_scheduler', 'val_evaluator', 'test_evaluator', 'default_hooks',
    'custom_hooks', 'data_preprocessor', 'load_from', 'resume', 'launcher', 'env_cfg', 'log_processor', 'log_level',
    'visualizer', 'default_scope', 'randomness', 'experiment_name', 'custom_imports',
    # what mmseg's tools and APIs read
    'tta_model', 'tta_pipeline', 'test_pipeline',
    # names that the files use for themselves, as mmseg's own do
    'dataset_type', 'data_root', 'crop_size', 'image_size', 'img_ratios', 'train_pipeline', 'val_pipeline', 'vis_backends',
    'norm_cfg', 'act_cfg', 'conv_cfg', 'optimizer', 'num_classes', 'max_iters', 'class_weight',
}  # fmt: skip


def identity(path: Path) -> str:
    return str(path.relative_to(ROOT).with_suffix(''))


every_config = pytest.mark.parametrize('path', CONFIGS, ids=identity)


def datasets_of(cfg: Config) -> list[dict]:
    return [cfg[f'{split}_dataloader'].dataset for split in ('train', 'val', 'test') if f'{split}_dataloader' in cfg]


def test_there_are_configs():
    assert len(CONFIGS) >= 4


@every_config
def test_name_says_what_is_inside(path):
    match = NAME.fullmatch(path.stem)
    assert match, f'{path.name} is not algorithm_parts_GPUSxbBATCH[-setting]-ITERSk_dataset-HxW.py'
    cfg = Config.fromfile(path)
    assert cfg.train_dataloader.batch_size == int(match['batch'])
    assert cfg.train_cfg.max_iters == round(float(match['iters']) * 1000)
    assert tuple(cfg.model.data_preprocessor.size) == (int(match['height']), int(match['width']))


@every_config
def test_top_level_keys_are_known(path):
    assert not set(Config.fromfile(path)) - KNOWN_KEYS


@every_config
def test_datasets_build_without_reading_files(path):
    for dataset in datasets_of(Config.fromfile(path)):
        built = DATASETS.build({**dataset, 'lazy_init': True})
        assert len(built.metainfo['classes']) == len(built.metainfo['palette'])


@every_config
def test_builds_and_takes_one_training_step(path):
    """On two pictures of 64 x 64 with every class and an ignored border, through the config's own optimizer."""
    cfg = Config.fromfile(path)
    size, num_classes = (64, 64), cfg.model.decode_head.num_classes
    cfg.model.data_preprocessor.size = size
    model = MODELS.build(cfg.model).train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}

    samples = []
    for _ in range(2):
        mask = torch.randint(num_classes, (1, *size))
        mask[:, :4] = 255
        meta = dict(img_shape=size, ori_shape=size, pad_shape=size)
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=mask), metainfo=meta))
    pictures = [torch.randint(256, (3, *size), dtype=torch.uint8) for _ in samples]
    log = model.train_step(dict(inputs=pictures, data_samples=samples), optim_wrapper)

    assert all(torch.isfinite(value).all() for value in log.values())
    assert all(torch.isfinite(value).all() for value in model.parameters())
    stuck = [name for name, value in model.named_parameters() if torch.equal(value, before[name])]
    assert not stuck, f'no step reached {stuck[:5]}'
