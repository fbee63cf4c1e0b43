"""What the deploy tests share: a tiny network, and artifacts made of it once."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine import Config

from bisenet_plugins.deploy import DeployOptions, deploy, register

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ('mmdeploy', 'onnx', 'onnxruntime')


def needs(*modules):
    """Skip where a package of an extra is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f'not installed: {missing}; see docs/deploy.md')


def tiny_config(segmentor='BilateralSegmentor', **preprocessor):
    """A bilateral network of a few thousand weights, with a booster head that must not be deployed."""
    norm = dict(type='BN')
    head = dict(num_classes=5, norm_cfg=norm, align_corners=False)
    return Config(dict(
        default_scope='mmseg',
        model=dict(
            type=segmentor,
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53],
                                   std=[58.395, 57.12, 57.375], bgr_to_rgb=True, pad_val=0, seg_pad_val=255,
                                   **preprocessor),
            backbone=dict(type='BiSeNetV2', detail_channels=(8, 8, 16), semantic_channels=(8, 8, 8, 16),
                          bga_channels=16, norm_cfg=norm),
            decode_head=dict(type='FCNHead', in_channels=16, in_index=0, channels=8, num_convs=1,
                             concat_input=False, **head),
            auxiliary_head=[dict(type='FCNHead', in_channels=8, in_index=1, channels=8, num_convs=1,
                                 concat_input=False, **head)],
            train_cfg=dict(),
            test_cfg=dict(mode='whole')),
        test_pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]))


def make(tiny, out, **settings):
    """Deploy the tiny network."""
    options = DeployOptions(**{'image_count': 2, 'threads': 1, 'dump_info': False, **settings})
    return deploy(tiny_config(), tiny[2], str(out), options)


def other_backend(artifact, folder, backend, precision='fp32', **settings):
    """Bring an artifact's ONNX file to another backend through mmdeploy's API."""
    register()
    from mmdeploy.apis.utils import to_backend
    folder.mkdir()
    source = Path(artifact.folder) / artifact.graph
    (folder / 'end2end.onnx').write_bytes(source.read_bytes())
    options = DeployOptions(backend=backend, precision=precision, shape=artifact.shape, output=artifact.output,
                            channel_order=artifact.channel_order, network_size=artifact.network_size, **settings)
    path, = to_backend(backend.replace('-', '_'), [str(folder / 'end2end.onnx')], str(folder),
                       Config(options.deploy_config()), device='cpu')
    typed = f'end2end_{precision}.onnx'
    made = replace(artifact, backend=backend, precision=precision, file=Path(path).name, folder=str(folder),
                   graph=typed if (folder / typed).exists() else 'end2end.onnx')
    made.save()
    return made


@pytest.fixture(scope='session')
def tiny(tmp_path_factory):
    """The tiny network's artifact for ONNX Runtime, dynamic; the network itself; the path of its weights; and
    its predictor."""
    for name in NEEDED:
        pytest.importorskip(name, reason=f'{name} is not installed; see docs/deploy.md')
    import torch

    from bisenet_plugins.runtime.predictor import Predictor
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('tiny')
    predictor = Predictor(tiny_config())
    for module in predictor.model.modules():  # statistics that folding has to get right
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    torch.save(dict(state_dict=predictor.model.state_dict()), folder / 'weights.pth')
    artifact = deploy(tiny_config(), str(folder / 'weights.pth'), str(folder / 'artifact'),
                      DeployOptions(image_count=4, threads=1))
    return artifact, predictor.model, str(folder / 'weights.pth'), predictor
