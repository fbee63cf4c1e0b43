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

from bisenet_plugins.deploy import DeployOptions, parse_shape
from bisenet_plugins.models.cost import ShapesOnly

ROOT = Path(__file__).resolve().parents[1] / 'configs'
CONFIGS = sorted(
    path for path in ROOT.rglob('*.py') if '_base_' not in path.parts and path.relative_to(ROOT).parts[0] != 'deploy'
)
DEPLOY = sorted((ROOT / 'deploy').glob('*.py'))
STAGES = sorted(path for path in ROOT.glob('*/*_stages'))
SETTINGS = {'cpu', 'demo', 'balanced', 'drawn', 'ema', 'heldout', 'lovasz'}  # how a network is trained; no parts of it
NAME = re.compile(
    r'(?:(?P<stage>\d+)_)?'
    r'(?P<algorithm>[a-z][a-z0-9-]+)'
    r'(?:_(?P<parts>[a-z0-9.-]+(?:_[a-z0-9.-]+)*?))?'
    r'_(?P<gpus>\d+)xb(?P<batch>\d+)'
    r'(?P<settings>(?:-[a-z]+)*)'
    r'-(?P<iters>\d+(?:\.\d+)?)k'
    r'_(?P<dataset>[a-z0-9-]+)'
    r'-(?P<height>\d+)x(?P<width>\d+)'
)
DEPLOY_NAME = re.compile(
    r'segmentation_(?P<contained>self-contained_)?(?P<backend>onnxruntime|openvino|tensorrt-rtx|tensorrt)'
    r'(?:-(?P<precision>fp16|int8))?_(?:static-(?P<shape>\d+x\d+)|dynamic(?:-64x64-1024x2048)?)\.py'
)
KNOWN_KEYS = {
    # what mmengine's Runner reads
    'model', 'work_dir', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg', 'val_cfg', 'test_cfg',
    'auto_scale_lr', 'optim_wrapper', 'param_scheduler', 'val_evaluator', 'test_evaluator', 'default_hooks',
    'custom_hooks', 'data_preprocessor', 'load_from', 'resume', 'launcher', 'env_cfg', 'log_processor', 'log_level',
    'visualizer', 'default_scope', 'randomness', 'experiment_name', 'custom_imports',
    # what mmseg's tools and APIs read
    'tta_model', 'tta_pipeline', 'test_pipeline',
    # what the files build on: names of their own in datasets and schedules
    'dataset_type', 'data_root', 'crop_size', 'image_scale', 'image_size', 'train_pipeline', 'load_transforms',
    'augment_transforms', 'tta_transforms', 'tta_resizes', 'random_resize', 'random_crop', 'scale_and_crop', 'warmup',
    'decay', 'norm_cfg', 'head', 'class_weight', 'drives',
}  # fmt: skip


def identity(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix('').as_posix()


every_config = pytest.mark.parametrize('path', CONFIGS, ids=identity)


@cache
def load(path: Path) -> Config:
    """Read a config once for all tests; they leave it as it is."""
    return Config.fromfile(path)


def classes_of(cfg: Config) -> int:
    return cfg.model.get('num_classes') or cfg.model.decode_head.num_classes


def model_of(path: Path) -> dict:
    return copy.deepcopy(load(path).model)


def network_of(path: Path) -> str:
    """Return what a config trains, but for classes, crop, kind of batch norm, rates, widths and depths."""
    model = copy.deepcopy(load(path).model).to_dict()
    model.pop('num_classes', None)
    model['data_preprocessor'].pop('size')
    text = repr(model).replace('SyncBN', 'BN').replace(", 'class_weight': None", '')
    text = re.sub(r"'(channels_last|width_mult|depth_mult|depth|arch)': [^,}]*,? ?", '', text)
    return text + load(path).optim_wrapper.optimizer.type


SMALLEST_LAST = sorted(CONFIGS, key=lambda path: bool(re.search('r18|stdc1_', path.stem)))
NETWORKS = list({network_of(path): path for path in SMALLEST_LAST if 'large' not in path.stem}.values())


def test_there_are_configs():
    assert len(CONFIGS) >= 4


@every_config
def test_name_says_what_is_inside(path):
    match = NAME.fullmatch(path.stem)
    assert match, f'{path.name} is not algorithm_parts_GPUSxbBATCH[-setting]-ITERSk_dataset-HxW.py'
    settings = set(match['settings'].split('-')[1:])
    assert settings <= SETTINGS and not SETTINGS & set(re.split('[_-]', match['parts'] or ''))
    assert bool(match['stage']) == (path.parent in STAGES)
    cfg = load(path)
    assert cfg.train_dataloader.batch_size == int(match['batch'])
    assert cfg.train_cfg.max_iters == round(float(match['iters']) * 1000)
    assert tuple(cfg.model.data_preprocessor.size) == (int(match['height']), int(match['width']))
    assert ('ema' in settings) == any(hook.type == 'EMAHook' for hook in cfg.get('custom_hooks', []))
    assert ('drawn' in settings) == (cfg.train_dataloader.dataset.type == 'ConcatDataset')
    assert ('lovasz' in settings) == ('LovaszLoss' in str(cfg.model))
    assert ('balanced' in settings) == bool(cfg.get('class_weight'))


@pytest.mark.parametrize('folder', STAGES, ids=identity)
def test_stages_are_numbered_and_follow_one_another(folder):
    stages = sorted(folder.glob('*.py'))
    assert [path.name.partition('_')[0] for path in stages] == [str(i + 1) for i in range(len(stages))]
    assert load(stages[0]).load_from is None
    for before, path in zip(stages, stages[1:]):
        assert load(path).load_from == f'work_dirs/{before.stem}/iter_{load(before).train_cfg.max_iters}.pth'


@every_config
def test_schedule_warms_up_then_decays_to_the_end(path):
    cfg = load(path)
    warmup, decay = cfg.param_scheduler
    assert (warmup.type, decay.type) == ('LinearLR', 'PolyLR')
    assert warmup.end <= 0.1 * cfg.train_cfg.max_iters
    assert decay.begin == warmup.end or decay.begin >= 0.8 * cfg.train_cfg.max_iters  # with a constant rate between
    assert decay.end >= cfg.train_cfg.max_iters
    assert decay.end == cfg.train_cfg.max_iters or 'balanced' in path.stem  # the stage that stops before the end


@every_config
def test_channels_last_is_for_gpus_only(path):
    """It does not pay in CPU training."""
    cpu = {'cpu', 'demo'} & set(path.stem.split('-'))
    assert not (cpu and load(path).model.get('channels_last'))


@every_config
def test_top_level_keys_are_known(path):
    assert not set(load(path)) - KNOWN_KEYS


@every_config
def test_datasets_build_without_reading_files(path):
    cfg = load(path)
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        while 'dataset' in dataset:  # mixed ones
            dataset = dataset.dataset
        for part in dataset.get('datasets', [dataset]):  # joined ones
            built = DATASETS.build({**copy.deepcopy(part), 'lazy_init': True})
            assert len(built.metainfo['classes']) == len(built.metainfo['palette']) == classes_of(cfg)


@pytest.mark.parametrize('path', [path for path in CONFIGS if path not in NETWORKS], ids=identity)
def test_builds_and_classifies(path):
    """Without weights, on the meta device; of each of these networks another config takes the training step below."""
    with torch.device('meta'), ShapesOnly(), torch.no_grad():
        model = MODELS.build(model_of(path)).eval()
        logits = model(torch.zeros(1, 3, 65, 97))
    assert logits.shape[:2] == (1, classes_of(load(path)))


@pytest.mark.parametrize('path', NETWORKS, ids=identity)
def test_takes_one_training_step(path):
    """On two images of 32 x 64 with every class and an ignored border, through the config's own optimizer."""
    cfg, size = Config(dict(model=model_of(path), optim_wrapper=load(path).optim_wrapper)), (32, 64)
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
    images = [torch.randint(256, (3, *size), dtype=torch.uint8) for _ in samples]
    log = model.train_step(dict(inputs=images, data_samples=samples), optim_wrapper)

    assert all(torch.isfinite(value).all() for value in log.values())
    assert all(torch.isfinite(value).all() for value in model.parameters())
    moved = optim_wrapper.optimizer.state  # the momentum of every parameter that had a gradient
    stuck = [name for name, value in model.named_parameters() if value.requires_grad and value not in moved]
    assert not stuck, f'no step reached {stuck[:5]}'


def is_what_its_name_says(path: Path) -> bool:
    match = DEPLOY_NAME.fullmatch(path.name)
    contained = dict(channel_order='bgr', network_size=(512, 1024)) if match['contained'] else {}
    options = DeployOptions(backend=match['backend'], precision=match['precision'] or 'fp32',
                            shape=parse_shape(match['shape'] or 'dynamic'), **contained)
    config = Config.fromfile(path, import_custom_modules=False)
    return config.to_dict() == Config(options.deploy_config()).to_dict()


@pytest.mark.parametrize('path', DEPLOY, ids=identity)
def test_deploy_config_is_what_its_name_says(path):
    assert is_what_its_name_says(path)


def test_deploy_configs_to_copy_are_what_their_names_say(tmp_path):
    """The blocks of configs/deploy/README.md, each written beside the files that it inherits from."""
    readme = (ROOT / 'deploy' / 'README.md').read_text(encoding='utf-8')
    blocks = re.findall(r'```python\n# (segmentation_\S+\.py)\n(.*?)```', readme, re.DOTALL)
    assert len(blocks) == readme.count('```python') == 8
    for path in DEPLOY:
        (tmp_path / path.name).write_text(path.read_text(encoding='utf-8'), encoding='utf-8')
    for name, text in blocks:
        assert not (tmp_path / name).exists(), f'{name} is there twice'
        (tmp_path / name).write_text(text, encoding='utf-8')
        assert is_what_its_name_says(tmp_path / name), name


def test_config_of_the_readme_builds(tmp_path):
    (text,) = re.findall(r'```python\n(.*?)```', (ROOT / 'README.md').read_text(encoding='utf-8'), re.DOTALL)
    (tmp_path / 'mine.py').write_text(text.replace("'configs/", f"'{ROOT.as_posix()}/"), encoding='utf-8')
    cfg = Config.fromfile(tmp_path / 'mine.py')
    with torch.device('meta'), ShapesOnly(), torch.no_grad():
        assert MODELS.build(cfg.model).eval()(torch.zeros(1, 3, 65, 97)).shape[1] == classes_of(cfg) == 11
    assert cfg.param_scheduler[1].end == cfg.train_cfg.max_iters
    assert not set(cfg) - KNOWN_KEYS
