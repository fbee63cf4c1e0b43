"""A config's network in PyTorch; what a predictor does with it is tested in test_predictor.py."""

import copy

import numpy as np
import pytest
import torch
from mmengine.model import PretrainedInit
from mmseg.models import SegDataPreProcessor

from bisenet_plugins.errors import ConfigError, DeployError, InputError
from bisenet_plugins.runtime.network import Network


class Unshuffled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(48, 4, 3, padding=1)

    def forward(self, x):
        return (self.conv(torch.nn.functional.pixel_unshuffle(x, 4)),)


def test_what_prediction_needs_to_know_is_there(small_config):
    network = Network(small_config)
    assert (network.num_classes, network.classes, network.align_corners) == (3, ('road', 'car', 'sky'), False)
    assert not network.model.training and network.threshold == 0.5
    assert network.prepare(np.zeros((8, 12, 3), np.uint8)).inputs.shape == (1, 3, 16, 24)
    assert 'init_cfg' in small_config.model.backbone and network.cfg.model.backbone.init_cfg is None


def test_its_checkpoint_makes_it_again(small_config):
    network = Network(small_config)
    again = Network(network.cfg, network.checkpoint())
    for name, value in network.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value, rtol=0, atol=0)
    assert (again.classes, again.palette) == (network.classes, network.palette)


def test_what_slides_a_window_stays_with_pytorch(small_config):
    small_config.model.test_cfg = dict(mode='slide', crop_size=(32, 32), stride=(24, 24))
    network = Network(small_config)
    with pytest.raises(DeployError, match='onnxruntime: .* decides in a way of its own'):
        network.open('onnxruntime')
    assert network.open('torch')(np.zeros((1, 3, 32, 48), np.float32)).shape == (1, 3, 32, 48)


def test_a_preprocessor_beside_the_model_counts_as_mmengine_s_runner_has_it(small_config):
    beside = copy.deepcopy(small_config)
    beside.data_preprocessor = beside.model.pop('data_preprocessor')
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    found, wanted = Network(beside), Network(small_config)
    np.testing.assert_array_equal(found.prepare(image).inputs, wanted.prepare(image).inputs)
    torch.testing.assert_close(found.model.data_preprocessor.mean, wanted.model.data_preprocessor.mean)


def test_a_single_mean_is_for_all_channels(small_config):
    small_config.model.data_preprocessor.update(mean=[120.0], std=[60.0])
    assert Network(small_config).prepare(np.zeros((8, 12, 3), np.uint8)).inputs.shape == (1, 3, 16, 24)


def test_the_first_convolution_need_not_be_the_input_s(small_config):
    small_config.model.backbone = dict(type=Unshuffled)
    small_config.model.decode_head.update(in_channels=4, in_index=0)
    network = Network(small_config)
    assert network.channels == 3 and network.open('torch')(np.zeros((1, 3, 32, 48), np.float32)).shape[1] == 3


def test_joined_datasets_have_their_pipeline_and_names(small_config):
    dataset = small_config.test_dataloader.dataset
    small_config.test_pipeline = [dict(type='PackSegInputs')]  # which nothing reads
    small_config.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[dataset, dict(
        type='RepeatDataset', times=2, dataset=copy.deepcopy(dataset))])
    network = Network(small_config)
    assert network.prepare(np.zeros((8, 12, 3), np.uint8)).inputs.shape == (1, 3, 16, 24)
    assert network.classes == ('road', 'car', 'sky')
    small_config.test_dataloader.dataset.datasets[1].dataset.pipeline[1].scale_factor = 3.0
    with pytest.raises(InputError, match='test_dataloader.dataset: expected datasets with one pipeline'):
        Network(small_config)


def test_names_of_classes_may_be_in_a_file(small_config, tmp_path):
    (tmp_path / 'classes.txt').write_text('a\nb\nc\n')
    small_config.test_dataloader.dataset.metainfo = dict(classes=str(tmp_path / 'classes.txt'))
    assert Network(small_config).classes == ('a', 'b', 'c')


def test_types_may_be_classes(small_config):
    small_config.model.data_preprocessor.type = SegDataPreProcessor
    small_config.model.backbone.init_cfg.type = PretrainedInit
    network = Network(small_config)
    assert network.prepare(np.zeros((8, 12, 3), np.uint8)).inputs.shape == (1, 3, 16, 24)
    assert network.cfg.model.backbone.init_cfg is None


def test_one_of_several_initialisations_downloads_nothing(small_config):
    small_config.model.backbone.init_cfg = [dict(type='Kaiming', layer='Conv2d'), small_config.model.backbone.init_cfg]
    assert Network(small_config).cfg.model.backbone.init_cfg is None


def of_channels(config, channels):
    """Let a network take other images, and nothing normalise them."""
    config.model.data_preprocessor = dict(type='SegDataPreProcessor')
    config.model.backbone = dict(type='ResNet', depth=18, in_channels=channels, stem_channels=8, base_channels=8,
                                 num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,))
    config.model.decode_head.in_index = 0


@pytest.mark.parametrize('steps', [[], [dict(type='ResizeToMultiple', size_divisor=32)]])
def test_grey_networks_take_colour_images(small_config, steps):
    of_channels(small_config, 1)
    load = dict(type='LoadImageFromFile', color_type='grayscale')
    small_config.test_dataloader.dataset.pipeline = [load, *steps, dict(type='PackSegInputs')]
    prepared = Network(small_config).prepare(np.full((32, 64, 3), 9, np.uint8))
    assert prepared.inputs.shape == (1, 1, 32, 64) and (prepared.inputs == 9).all()


@pytest.mark.parametrize('steps', [[], [dict(type='Normalize', mean=[120.0] * 4, std=[60.0] * 4, to_rgb=False)]])
def test_an_image_of_other_channels_is_refused(small_config, steps):
    of_channels(small_config, 4)
    load = dict(type='LoadImageFromFile', color_type='unchanged')
    small_config.test_dataloader.dataset.pipeline = [load, *steps, dict(type='PackSegInputs')]
    with pytest.raises(InputError, match=r'image: expected a uint8 array \(H, W, 4\), got uint8 \(8, 12, 3\)'):
        Network(small_config).prepare(np.zeros((8, 12, 3), np.uint8))


def test_parts_of_mmseg_are_explained_by_their_own_words(small_config):
    small_config.model.decode_head.loss_decode = dict(type='LovaszLoss', reduction='mean')
    with pytest.raises(ConfigError, match="LovaszLoss: reduction should be 'none' when +per_image"):
        Network(small_config)
    small_config.model.decode_head = 3
    with pytest.raises(ConfigError, match='EncoderDecoder.decode_head: expected .*, got 3'):
        Network(small_config)


def test_a_threshold_of_zero_is_kept(small_config):
    small_config.model.decode_head.update(num_classes=2, out_channels=1, threshold=0.0)
    small_config.test_dataloader.dataset.metainfo = dict(classes=('road', 'car'), palette=[[9, 8, 7], [0, 255, 0]])
    assert Network(small_config).threshold == 0
