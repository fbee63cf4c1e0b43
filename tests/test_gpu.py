"""Everything that runs on an NVIDIA GPU; ``make gpu`` runs these first. Without a GPU they are skipped."""

import numpy as np
import pytest
import torch
from mmengine.optim import AmpOptimWrapper
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from bisenet_plugins import AutocastOptimWrapper, Predictor, load_pretrained, pretrained_names, upsample_argmax
from bisenet_plugins.datasets.scenes.painter import paint_scene
from tests.deploy.conftest import needs

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no NVIDIA GPU')
NAME = pretrained_names()[0]


@pytest.fixture(scope='module')
def images():
    return [np.ascontiguousarray(paint_scene((360, 480), 5, number)[0][..., ::-1]) for number in range(3)]


@pytest.fixture(scope='module')
def masks(images):
    return load_pretrained(NAME, backend='torch')(images)


def test_predictor_gives_the_masks_of_the_cpu(images, masks):
    predictor = load_pretrained(NAME, device='cuda')
    found = predictor(images)
    assert predictor.backend == 'torch' and predictor.artifact is None
    assert [mask.dtype for mask in found] == [np.uint8] * 3
    assert all((one == other).mean() > 0.999 for one, other in zip(found, masks, strict=True))
    assert predictor.logits(predictor.preprocess(images[0])).is_cuda


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
def test_fast_mask_equals_that_of_the_cpu(dtype):
    logits = torch.randn(2, 19, 16, 32, dtype=dtype)
    settings = dict(window=(3, 120, 0, 250), window_size=(200, 333), dtype=torch.uint8)
    mask = upsample_argmax(logits.cuda(), (127, 251), **settings)
    assert mask.is_cuda and mask.dtype == torch.uint8
    assert (mask.cpu() == upsample_argmax(logits, (127, 251), **settings)).float().mean() > 0.999


@pytest.mark.parametrize('wrapper', [AmpOptimWrapper, AutocastOptimWrapper])
@pytest.mark.parametrize('recompute', [False, True])
def test_mixed_precision_trains_in_channels_last(wrapper, recompute):
    from benchmarks.pairs import pair_configs

    cfg = pair_configs((64, 128), 64, 5)['ours'].model
    model = MODELS.build({**cfg, 'channels_last': True, 'recompute_norms': recompute}).cuda().train()
    weight = model.backbone.detail_branch.stages[0][1].conv.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    optim = wrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.01))
    sample = SegDataSample(metainfo=dict(img_shape=(64, 128), ori_shape=(64, 128)),
                           gt_sem_seg=PixelData(data=torch.randint(0, 5, (1, 64, 128))))
    losses = [float(model.train_step(dict(inputs=[torch.zeros(3, 64, 128, dtype=torch.uint8)] * 2,
                                          data_samples=[sample.clone(), sample.clone()]), optim)['loss'])
              for _ in range(4)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


@needs('onnx', 'mmdeploy')
@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
@pytest.mark.parametrize('backend', ['tensorrt', 'tensorrt-rtx'])
def test_engines_of_a_shipped_network_agree(backend, precision, images, masks, tmp_path):
    pytest.importorskip(backend.replace('-', '_'))
    from bisenet_plugins.deploy.exporter import deploy
    from bisenet_plugins.deploy.options import DeployOptions

    major, minor = torch.cuda.get_device_capability()
    deploy(NAME, None, str(tmp_path / 'out'), DeployOptions(
        backend=backend, precision=precision, shape=(360, 480), images='synthetic', image_count=2,
        compute_capabilities=(f'{major}.{minor}',)))
    found = Predictor(tmp_path / 'out')(images)
    assert all((one == other).mean() > 0.99 for one, other in zip(found, masks, strict=True))
