"""What every test shares: few threads, mmseg's registries filled, and where CamVid lies."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import base_dataset
from mmengine.logging import MessageHub
from mmseg.utils import register_all_modules
from mmseg.visualization import SegLocalVisualizer
from yapf.yapflib import yapf_api

import bisenet_plugins  # noqa: F401
from bisenet_plugins.runtime.artifact import META_KEY, Artifact

ROOT = Path(__file__).resolve().parents[1]
# Tests that run side by side share the cores.
torch.set_num_threads(1 if 'PYTEST_XDIST_WORKER' in os.environ else min(2, os.cpu_count() or 1))
register_all_modules(init_default_scope=True)
# A dataset collects garbage when it is made: a third of a second, each time, in a process that has loaded everything.
base_dataset.gc = SimpleNamespace(collect=lambda: None)
# A runner lays out the text of its config four times.
format_code, formatted = yapf_api.FormatCode, {}


def format_once(text, **settings):
    """What yapf makes of a text, computed once."""
    if text not in formatted:
        formatted[text] = format_code(text, **settings)
    return formatted[text]


yapf_api.FormatCode = format_once


@pytest.fixture(autouse=True)
def fixed_seed():
    """The same random numbers in every test, whatever ran before, and no notes of a run of the same second."""
    torch.manual_seed(0)
    MessageHub._instance_dict.clear()
    SegLocalVisualizer._instance_dict.clear()  # its folder may be gone


@pytest.fixture(scope='session')
def camvid_root() -> Path:
    """Folder of CamVid in the SegNet layout, from ``CAMVID_ROOT``, ``data/camvid`` or ``../shared/data/camvid``."""
    places = [ROOT / 'data' / 'camvid', ROOT.parent / 'shared' / 'data' / 'camvid']
    if os.environ.get('CAMVID_ROOT'):
        places.insert(0, Path(os.environ['CAMVID_ROOT']))
    for place in places:
        if (place / 'trainannot').is_dir():
            return place
    pytest.skip('CamVid is not there: put it in data/camvid or name its folder in CAMVID_ROOT')


CONFIG = '''
_base_ = {base!r}
pipeline = [dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion'), dict(type='PackSegInputs')]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
        [dict(type='LoadAnnotations')],
        [dict(type='PackSegInputs')],
    ])]
train_dataloader = dict(
    batch_size=2, num_workers=1, persistent_workers=True, sampler=dict(type='ResumableSampler', shuffle=True),
    dataset=dict(type='bisenet_plugins.StreetSceneDataset', length=7, seed=1, size=(48, 64),
                 pipeline=[dict(type='SeedSample'), *pipeline]))
val_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='bisenet_plugins.StreetSceneDataset', length=4, seed=2, size=(48, 64), pipeline=test_pipeline,
                 test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True, pad_val=0,
                           size=(48, 64), seg_pad_val=255),
    backbone=dict(type='MobileNetV2', widen_factor=0.25, out_indices=(0, 1), norm_cfg=dict(type='SyncBN')),
    decode_head=dict(type='FCNHead', in_channels=8, in_index=1, channels=8, num_convs=1, num_classes=11,
                     dropout_ratio=0.3, norm_cfg=dict(type='SyncBN'), align_corners=False,
                     loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type='PolyLR', power=0.9, begin=0, end=12, eta_min=1e-4, by_epoch=False)]
log_processor = dict(window_size=1)
find_unused_parameters = True  # the last stages of the backbone feed no head
train_cfg = dict(type='IterBasedTrainLoop', max_iters=12, val_interval=6)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2, max_keep_ckpts=2, save_best=None),
                     pictures=dict(num_pictures=2, cell_width=64))
'''


@pytest.fixture
def tiny_config(tmp_path: Path) -> Path:
    """A config file: 12 iterations of a MobileNetV2 of 0.25 times the width on scenes of 48 x 64 pixels."""
    base = Path(__file__).resolve().parents[1] / 'configs' / '_base_' / 'default_runtime.py'
    path = tmp_path / 'tiny.py'
    path.write_text(CONFIG.format(base=str(base)), encoding='utf-8')
    return path


@pytest.fixture(scope='session')
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A config file, and the folder of a run of four iterations with it."""
    from bisenet_plugins.engine.launch import load_config, prepare_training, run_training

    folder = tmp_path_factory.mktemp('trained')
    config = folder / 'tiny.py'
    base = Path(__file__).resolve().parents[1] / 'configs' / '_base_' / 'default_runtime.py'
    config.write_text(CONFIG.format(base=str(base)), encoding='utf-8')
    options = {'train_cfg.max_iters': 4, 'train_cfg.val_interval': 2, 'train_dataloader.num_workers': 0,
               'train_dataloader.persistent_workers': False}
    run_training(prepare_training(load_config(config, folder / 'run', options)))
    return config, folder / 'run'


@pytest.fixture
def small_config() -> Config:
    """MobileNetV2 of a quarter of the width with three classes, tested at twice the image's size."""
    return Config(dict(
        default_scope='mmseg',
        model=dict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True),
            backbone=dict(type='MobileNetV2', widen_factor=0.25, out_indices=(0, 1), norm_cfg=dict(type='SyncBN'),
                          init_cfg=dict(type='Pretrained', checkpoint='https://nowhere.invalid/weights.pth')),
            decode_head=dict(type='FCNHead', in_channels=8, in_index=1, channels=8, num_convs=1, num_classes=3,
                             norm_cfg=dict(type='SyncBN'), align_corners=False),
            train_cfg=dict(), test_cfg=dict(mode='whole')),
        test_dataloader=dict(dataset=dict(
            type='CamVidDataset',
            metainfo=dict(classes=('road', 'car', 'sky'), palette=[[9, 8, 7], [0, 255, 0], [0, 0, 255]]),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale_factor=2.0, keep_ratio=True),
                      dict(type='LoadAnnotations'), dict(type='PackSegInputs')]))))


@pytest.fixture(scope='session')
def write_graph():
    """Return what writes the network of a predictor as an ONNX file that says what it is."""
    onnx = pytest.importorskip('onnx')

    def write(predictor, path: Path, precision: str = 'fp32') -> None:
        model = onnx.load_from_string(predictor.network.open('onnxruntime').model)
        artifact = Artifact('onnxruntime', precision, path.name, path.name, predictor.num_classes, output='logits_s8',
                            align_corners=predictor.align_corners, preprocess=predictor.network._prepare,
                            classes=list(predictor.classes),
                            palette=predictor.palette[:predictor.num_classes].tolist())
        onnx.helper.set_model_props(model, {META_KEY: artifact.to_json()})
        onnx.save(model, str(path))

    return write
