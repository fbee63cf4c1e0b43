"""A small network and a few labelled scenes to explain."""

import cv2
import pytest
import torch
from mmengine.config import Config

from bisenet_plugins.datasets.samples import dataset_samples
from bisenet_plugins.runtime import Predictor

SCENES = dict(type='StreetSceneDataset', length=2, size=(48, 64))


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    """The networks are so small that a second thread only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def predictor():
    """V2 of an eighth of the width that knows a few classes apart."""
    torch.manual_seed(0)
    predictor = Predictor(Config(dict(
        default_scope='mmseg',
        model=dict(
            type='BilateralSegmentor', num_classes=11, norm_cfg=dict(type='BN'),
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True),
            backbone=dict(type='BilateralNetwork', detail_branch=dict(type='DetailBranch', width_mult=0.125),
                          semantic_branch=dict(type='SemanticBranch', width_mult=0.25)),
            decode_head=dict(type='BGAHead', channels=16)),
        test_dataloader=dict(dataset=SCENES))))
    torch.nn.init.normal_(predictor.model.decode_head.conv_seg.weight, std=5.0)
    return predictor


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two drawn scenes with their labels as files, one pixel of them not labelled."""
    base = tmp_path_factory.mktemp('scenes')
    for number, sample in enumerate(dataset_samples(SCENES)):
        sample.label[0, 0] = 255
        for kind, array in (('images', sample.image), ('labels', sample.label)):
            (base / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(base / kind / f'{number}.png'), array)
    return base
