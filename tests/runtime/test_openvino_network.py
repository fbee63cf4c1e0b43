"""OpenVINO in the place of PyTorch gives what the network gives."""

import importlib.util
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.harness import apart
from bisenet_plugins.errors import MissingPackageError
from bisenet_plugins.runtime import predictor
from bisenet_plugins.runtime.openvino_network import openvino_form
from bisenet_plugins.runtime.predictor import Predictor
from bisenet_plugins.runtime.backends.openvino import OpenVINOBackend

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
NETWORKS = ['bisenetv2/bisenetv2_bga_1xb16-10k_camvid-360x480.py',
            'bisenetv1/bisenetv1_x39_1xb16-10k_camvid-720x960.py', 'stdc/stdc1_seg_1xb24-10k_camvid-720x960.py']
installed = pytest.mark.skipif(importlib.util.find_spec('openvino') is None,
                               reason="openvino is not installed: pip install 'bisenet-plugins[openvino]'")


def trained(model):
    """Give a network statistics that folding has to get right, and classes that differ from place to place."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.running_mean, -.3, .3)
            nn.init.uniform_(module.running_var, .6, 1.5)
    nn.init.normal_(model.decode_head.conv_seg.weight, std=5.0)
    return model.eval()


@installed
@pytest.mark.parametrize('name', NETWORKS)
def test_logits_of_any_size_and_batch_are_the_same(name):
    register_all_modules()
    model = trained(revert_sync_batchnorm(MODELS.build(Config.fromfile(CONFIGS / name).model)))
    fast = openvino_form(model)
    with torch.inference_mode():
        for shape in ((1, 3, 64, 128), (2, 3, 97, 65), (1, 3, 200, 136)):
            x = torch.randn(shape).to(memory_format=torch.channels_last)
            wanted = model.decode_head.forward(model.extract_feat(x))
            got = fast.decode_head.forward(fast.extract_feat(x))
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max().item())
    assert any(isinstance(module, _BatchNorm) for module in model.backbone.modules())


@installed
def test_a_predictor_over_it_gives_the_same_masks(small_config):
    plain, other = Predictor(small_config), Predictor(small_config, runtime='openvino')
    trained(plain.model)
    other.model.load_state_dict(plain.model.state_dict())
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, size, dtype=np.uint8) for size in ((32, 48, 3), (33, 61, 3), (32, 48, 3))]
    masks = plain(pictures)
    assert len(np.unique(masks[0])) > 1
    for mask, wanted in zip(other(pictures), masks, strict=True):
        np.testing.assert_array_equal(mask, wanted)


def signalled():
    """Handle a signal after two networks have come and gone."""
    import openvino

    handled = []
    signal.signal(signal.SIGTERM, lambda number, frame: handled.append(number))
    first, second = (OpenVINOBackend(openvino.convert_model(nn.ReLU(), example_input=torch.zeros(1)))
                     for _ in range(2))
    del first
    del second
    signal.raise_signal(signal.SIGTERM)
    return handled


@installed
def test_signals_are_handled_after_networks_have_gone():
    """OpenVINO's cores exchange the stack that signals are handled on; a freed one would end the process."""
    assert apart(signalled) == [signal.SIGTERM]


@installed
def test_a_neck_is_part_of_it(small_config):
    small_config.model.neck = dict(type='FPN', in_channels=[8, 8], out_channels=8, num_outs=2)
    plain, other = Predictor(small_config), Predictor(small_config, runtime='openvino')
    trained(plain.model)
    other.model.load_state_dict(plain.model.state_dict())
    picture = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(other(picture), plain(picture))


class Unconvertible(nn.Module):
    """A decode head that no tracer can follow."""

    def forward(self, maps):
        raise RuntimeError('there is no way through here')


@installed
def test_what_it_cannot_convert_it_names(small_config):
    model = Predictor(small_config).model
    model.decode_head = Unconvertible()
    with pytest.raises(ValueError, match='OpenVINO cannot convert MobileNetV2 with Unconvertible'):
        openvino_form(model)


def test_without_openvino_the_extra_is_named(small_config, monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name, *args: None)
    with pytest.raises(MissingPackageError, match=r"openvino is not installed; it comes with the extra 'openvino'"):
        openvino_form(Predictor(small_config).model)


@installed
@pytest.mark.parametrize('winner', ['pytorch', 'openvino'])
def test_the_faster_runtime_is_kept(small_config, monkeypatch, winner):
    seconds = iter([0.1, 0.2] if winner == 'pytorch' else [0.2, 0.1])  # there is no third: they are timed once
    monkeypatch.setattr(predictor, '_least_seconds', lambda call: (call(), next(seconds))[1])
    plain, fastest = Predictor(small_config), Predictor(small_config, runtime='fastest')
    trained(plain.model)
    fastest.model.load_state_dict(plain.model.state_dict())
    picture = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    for _ in range(2):
        np.testing.assert_array_equal(fastest([picture, picture])[1], plain(picture))
    assert fastest.runtime == winner


@installed
def test_what_cannot_be_converted_stays_with_pytorch(small_config, monkeypatch):
    def refuse(model):
        raise ValueError('OpenVINO cannot convert it')

    monkeypatch.setattr(predictor, 'openvino_form', refuse)
    network = Predictor(small_config, runtime='fastest')
    assert network(np.zeros((32, 32, 3), np.uint8)).shape == (32, 32) and network.runtime == 'pytorch'


def test_without_openvino_the_fastest_is_pytorch(small_config, monkeypatch):
    network = Predictor(small_config, runtime='fastest')
    with pytest.raises(RuntimeError, match='chooses the network at the first picture'):
        network.network  # noqa: B018, there is none yet
    monkeypatch.setattr(predictor.importlib.util, 'find_spec', lambda name: None)
    monkeypatch.setattr(predictor, '_least_seconds', lambda call: pytest.fail('there is nothing to compare'))
    assert network(np.zeros((32, 32, 3), np.uint8)).shape == (32, 32) and network.runtime == 'pytorch'


def test_the_least_time_leaves_out_the_first_call(monkeypatch):
    seconds, now = iter([0.25, 2.0, 1.0, 3.0]), [0.0]
    monkeypatch.setattr(predictor.time, 'perf_counter', lambda: now[0])
    assert predictor._least_seconds(lambda: now.__setitem__(0, now[0] + next(seconds))) == 1.0


@pytest.mark.parametrize('options, sentence', [
    (dict(runtime='fastest', fast=False), "runtime is 'fastest', which wants fast=True"),
    (dict(runtime='tvm'), "runtime is 'tvm'; it must be one of"),
    (dict(runtime='openvino', fast=False), "runtime is 'openvino', which wants fast=True"),
    (dict(runtime='openvino', device='cuda'), "got fast=True and device='cuda'")])
def test_what_does_not_go_together_is_refused(small_config, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Predictor(small_config, **options)
