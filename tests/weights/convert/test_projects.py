"""Networks of CoinCheung/BiSeNet, STDC-Seg and TorchSeg give the same logits after conversion, in every head."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.models.utils import resize
from mmseg.registry import MODELS

from bisenet_plugins.errors import CheckpointError
from bisenet_plugins.weights.convert import SOURCES, convert_file, recognise, to_ours

_spec = importlib.util.spec_from_file_location('theirs', Path(__file__).with_name('theirs.py'))
theirs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(theirs)

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'
CLASSES = 7
DEPTHS = dict(STDC1=(2, 2, 2), STDC2=(4, 5, 3))


def build(options, config):
    """The network of a shipped config under the options that a conversion names."""
    cfg = Config.fromfile(CONFIGS / config)
    cfg.merge_from_dict({f'model.{name}': value for name, value in {**options, 'norm_cfg': dict(type='BN')}.items()})
    return MODELS.build(cfg.model).eval()


def r18(net, name, image):
    return theirs.resnet(net, name, image, (2, 2, 2, 2))


def r18_deep_stem(net, name, image):
    return theirs.resnet(net, name, image, (2, 2, 2, 2), deep_stem=True)


def r101(net, name, image):
    return theirs.resnet(net, name, image, (3, 4, 23, 3), bottleneck=True, deep_stem=True)


NETWORKS = {
    'CoinCheung/BiSeNet V1': lambda net, x: theirs.coincheung_v1(net, x, CLASSES),
    'CoinCheung/BiSeNet V1 (two-layer attention)': lambda net, x: theirs.coincheung_v1(net, x, CLASSES, 'mlp'),
    'CoinCheung/BiSeNet V1 (classifiers without bias)': lambda net, x: theirs.coincheung_v1(net, x, CLASSES, 'first'),
    'CoinCheung/BiSeNet V2': lambda net, x: theirs.coincheung_v2(net, x, CLASSES),
    'CoinCheung/BiSeNet V2 (plain heads)': lambda net, x: theirs.coincheung_v2(net, x, CLASSES, plain_heads=True),
    'MichaelFan01/STDC-Seg STDC1': lambda net, x: theirs.stdc_seg(net, x, CLASSES, (2, 2, 2)),
    'MichaelFan01/STDC-Seg STDC2': lambda net, x: theirs.stdc_seg(net, x, CLASSES, (4, 5, 3)),
    'TorchSeg BiSeNet V1 with ResNet': lambda net, x: theirs.torchseg(net, x, CLASSES, r18),
    'TorchSeg BiSeNet V1 with ResNet (deep stem)':
        lambda net, x: theirs.torchseg(net, x, CLASSES, r18_deep_stem, main=256),
    'TorchSeg BiSeNet V1 with Xception39':
        lambda net, x: theirs.torchseg(net, x, CLASSES, theirs.xception39, auxiliary=128),
}


def test_every_other_source_is_here():
    tested = {source.name for source in SOURCES if not source.name.startswith('mmseg')}
    assert set(NETWORKS) | {f'MichaelFan01/STDC-Seg {name}, ImageNet' for name in DEPTHS} == tested


@pytest.mark.parametrize('name', DEPTHS)
def test_imagenet_files_load_into_the_backbone(name, tmp_path):
    """As the release saves them: the backbone's own names under ``state_dict``, with the classifier."""
    net, image = theirs.Network(), torch.randn(1, 3, 64, 96)
    expected = theirs.stdc(net, 'features', image, DEPTHS[name])
    net['fc.weight'] = net['linear.weight'] = torch.zeros(10, 1024)
    torch.save(dict(state_dict=dict(net)), tmp_path / 'imagenet.tar')
    done = convert_file(tmp_path / 'imagenet.tar', tmp_path / 'ours.pth')
    assert done.source.endswith('ImageNet') and f"STDCBackbone(**{{'arch': '{name.lower()}'}}" in done.report()[3]
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'ours.pth'))
    ours = MODELS.build(dict(type='STDCBackbone', arch=name.lower(), init_cfg=init))
    ours.init_weights()
    with torch.no_grad():
        for got, wanted in zip(ours.eval()(image), expected):
            torch.testing.assert_close(got, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize('network', [pytest.param(name, marks=() if 'STDC' in name else pytest.mark.slow)
                                     for name in NETWORKS if 'V2' not in name or 'plain' in name])
def test_a_single_missing_tensor_is_named(network, tmp_path):
    """Without a config too, in the network and in a head that is there in part."""
    net = theirs.Network()
    with torch.device('meta'):
        NETWORKS[network](net, torch.randn(1, 3, 64, 64))
    whole = {name: torch.zeros(value.shape) for name, value in net.items()}
    torch.save(whole, tmp_path / 'whole.pth')
    assert convert_file(tmp_path / 'whole.pth', tmp_path / 'ours.pth', dry_run=True).weights
    lost = next(name for name in reversed(whole) if name.endswith('running_mean') and '.bn' in name
                and not any(source.reason_to_drop(name) for source in SOURCES if source.name == network))
    torch.save({name: value for name, value in whole.items() if name != lost}, tmp_path / 'lost.pth')
    with pytest.raises(CheckpointError, match=r'whole network, got 1 missing:\n  .*running_mean'):
        convert_file(tmp_path / 'lost.pth', tmp_path / 'ours.pth')
    assert not (tmp_path / 'ours.pth').exists()


@pytest.mark.parametrize('name', NETWORKS)
def test_same_logits(name):
    """Names and shapes fit one to one, and the named options make the network equal at full size."""
    net, image = theirs.Network(), torch.randn(1, 3, 64, 96)
    wanted = NETWORKS[name](net, image)
    assert recognise(net).name == name
    done = to_ours(net)
    assert done.source == name
    ours = build(done.options, done.config)
    result = ours.load_state_dict(done.weights, strict=False)
    assert not result.unexpected_keys
    assert all(key.startswith('auxiliary_head.') for key in result.missing_keys)
    heads = [ours.decode_head, *ours.auxiliary_head]
    if result.missing_keys:
        assert name == 'CoinCheung/BiSeNet V2'
        heads = heads[:1]
    assert len(heads) == len(wanted)
    with torch.no_grad():
        maps = ours.extract_feat(image)
        for head, want in zip(heads, wanted):
            got = resize(head(maps), image.shape[2:], mode='bilinear', align_corners=head.align_corners)
            scale = want.abs().max()
            assert want.std() > 0.05 * scale
            torch.testing.assert_close(got / scale, want / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize('source', SOURCES, ids=lambda source: source.name)
def test_each_name_has_one_reading(source):
    """No prefix begins another one, so the order of the table means nothing; each of ours is made once."""
    for names in zip(*source.prefixes):
        for name in names:
            assert [other for other in names if other.startswith(name)] == [name]


def names_of(network, *args):
    """Names and shapes alone."""
    net = theirs.Network()
    with torch.device('meta'):
        network(net, torch.randn(1, 3, 64, 64), CLASSES, *args)
    return net


def test_dropped_weights_are_counted_by_reason():
    net = names_of(theirs.stdc_seg, (2, 2, 2))
    done = to_ours(net)
    left_out = re.compile(r'\.x\d+\.|conv_last|\.fc\.|backbone\.bn\.|linear|sp(2|4|16)\.')
    assert sum(done.dropped.values()) == sum(bool(left_out.search(key)) for key in net)
    copies = next(count for reason, count in done.dropped.items() if 'second names' in reason)
    assert copies == sum(key.startswith('cp.backbone.features.') for key in net)
    assert any('in-place batch norms' in note for note in done.notes)


def test_plain_batch_norm_keeps_its_weight():
    """A network of STDC-Seg that was trained with plain batch norm has counters, and negative scales stay."""
    net = names_of(theirs.stdc_seg, (2, 2, 2))
    net['conv_out.conv.bn.weight'] = torch.tensor([-0.5, 0.25])
    torch.testing.assert_close(
        to_ours(net).weights['decode_head.conv.bn.weight'], torch.tensor([0.50001, 0.25001]), rtol=0, atol=1e-7)
    net['conv_out.conv.bn.num_batches_tracked'] = torch.tensor(3)
    torch.testing.assert_close(to_ours(net).weights['decode_head.conv.bn.weight'], torch.tensor([-0.5, 0.25]))


def test_heads_that_rearrange_channels_are_refused():
    net = names_of(theirs.coincheung_v1, 'mlp')
    for name, factor in (('conv_out', 64), ('conv_out16', 64), ('conv_out32', 256)):
        for part in ('weight', 'bias'):
            key = f'{name}.conv_out.{part}'
            net[key] = net[key].repeat_interleave(factor, 0)
    with pytest.raises(CheckpointError, match='rearrange channels into pixels'):
        to_ours(net)
    net = names_of(theirs.coincheung_v2)
    net = {key.replace('head.conv_out.1.', 'head.conv_out.0.'): value for key, value in net.items()}
    with pytest.raises(CheckpointError, match=r'got 2 others(.|\n)*head\.conv_out\.0\.weight'):
        to_ours(net)


def test_depth_of_the_context_backbone():
    options = to_ours(names_of(theirs.torchseg, r101)).options
    backbone = 'backbone.semantic_branch.backbone'
    assert [options[f'{backbone}.{name}'] for name in ('type', 'depth', 'stem_channels')] == ['ResNetV1c', 101, 128]
    net = names_of(theirs.torchseg, lambda *args: theirs.resnet(*args, (1, 1, 1, 1)))
    with pytest.raises(CheckpointError, match=r'expected a ResNet of depth \[18, 34, 50, 101, 152\]'):
        to_ours(net)
