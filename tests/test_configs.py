"""Every config under configs/ is named by the rule, says only known things, builds, and takes a step."""

import copy
import re
from functools import cache
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
    'dataset_type', 'data_root', 'crop_size', 'image_scale', 'image_size', 'img_ratios', 'train_pipeline',
    'val_pipeline', 'vis_backends', 'norm_cfg', 'act_cfg', 'conv_cfg', 'optimizer', 'num_classes', 'max_iters',
    'head', 'class_weight',
}  # fmt: skip


def identity(path: Path) -> str:
    return str(path.relative_to(ROOT).with_suffix(''))


every_config = pytest.mark.parametrize('path', CONFIGS, ids=identity)


@cache
def load(path: Path) -> Config:
    """Read a config once for all tests; they leave it as it is."""
    return Config.fromfile(path)


def classes_of(cfg: Config) -> int:
    return cfg.model.get('num_classes') or cfg.model.decode_head.num_classes


def model_of(path: Path) -> dict:
    cfg = load(path)
    for package in cfg.custom_imports.imports:
        pytest.importorskip(package.split('.')[0], reason=f'{package} is an extra')
    return copy.deepcopy(cfg.model)


def network_of(path: Path) -> str:
    """Tell what a config trains, but for the number of classes, the crop, the kind of batch norm and the rates."""
    model = copy.deepcopy(load(path).model).to_dict()
    model.pop('num_classes', None)
    model['data_preprocessor'].pop('size')
    return repr(model).replace('SyncBN', 'BN') + load(path).optim_wrapper.optimizer.type


NETWORKS = list({network_of(path): path for path in reversed(CONFIGS)}.values())


def test_there_are_configs():
    assert len(CONFIGS) >= 4


@every_config
def test_name_says_what_is_inside(path):
    match = NAME.fullmatch(path.stem)
    assert match, f'{path.name} is not algorithm_parts_GPUSxbBATCH[-setting]-ITERSk_dataset-HxW.py'
    cfg = load(path)
    assert cfg.train_dataloader.batch_size == int(match['batch'])
    assert cfg.train_cfg.max_iters == round(float(match['iters']) * 1000)
    assert tuple(cfg.model.data_preprocessor.size) == (int(match['height']), int(match['width']))


@every_config
def test_top_level_keys_are_known(path):
    assert not set(load(path)) - KNOWN_KEYS


@every_config
def test_datasets_build_without_reading_files(path):
    cfg = load(path)
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        for part in dataset.get('datasets', [dataset]):  # joined ones
            built = DATASETS.build({**copy.deepcopy(part), 'lazy_init': True})
            assert len(built.metainfo['classes']) == len(built.metainfo['palette']) == classes_of(cfg)


@pytest.mark.parametrize('path', [path for path in CONFIGS if path not in NETWORKS], ids=identity)
def test_builds_and_classifies(path):
    """Without weights, on the meta device; of each of these networks another config takes the training step below."""
    with torch.device('meta'), torch.no_grad():
        model = MODELS.build(model_of(path)).eval()
        logits = model(torch.zeros(1, 3, 65, 97))
    assert logits.shape[:2] == (1, classes_of(load(path)))


@pytest.mark.parametrize('path', NETWORKS, ids=identity)
def test_takes_one_training_step(path):
    """On two pictures of 64 x 64 with every class and an ignored border, through the config's own optimizer."""
    cfg, size = Config(dict(model=model_of(path), optim_wrapper=load(path).optim_wrapper)), (64, 64)
    num_classes = classes_of(cfg)
    cfg.model.data_preprocessor.size = size
    model = MODELS.build(cfg.model).train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)

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
    moved = optim_wrapper.optimizer.state  # the momentum of every parameter that had a gradient
    stuck = [name for name, value in model.named_parameters() if value.requires_grad and value not in moved]
    assert not stuck, f'no step reached {stuck[:5]}'
