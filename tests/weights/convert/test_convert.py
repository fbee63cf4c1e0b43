"""The tool as a whole: files in, files out, and everything that it must refuse."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from torch import nn

from bisenet_plugins.cli.main import run_command
from bisenet_plugins.errors import CheckpointError, ConfigError
from bisenet_plugins.weights.checkpoint import DamagedCheckpointError, RefusedCheckpointError
from bisenet_plugins.weights.convert import convert_file, read_weights, recognise, to_mmseg, to_ours

ROOT = Path(__file__).resolve().parents[3]
NORM = dict(type='BN')
CLASSES = 5
BOOSTERS = {'stage2': (2, 6), 'stage3': (4, 6), 'stage4': (8, 7), 'stage5': (16, 8)}


def fcn(in_channels, channels, in_index, num_convs=1, **more):
    return dict(type='FCNHead', in_channels=in_channels, channels=channels, in_index=in_index, num_convs=num_convs,
                concat_input=False, norm_cfg=NORM, **{**dict(num_classes=CLASSES, align_corners=False), **more})


def their_v2():
    """mmseg's BiSeNetV2 at an eighth of its width."""
    return MODELS.build(dict(
        type='EncoderDecoder',
        backbone=dict(type='BiSeNetV2', detail_channels=(8, 8, 16), semantic_channels=(2, 4, 8, 16), bga_channels=16,
                      norm_cfg=NORM),
        decode_head=fcn(16, 12, 0),
        auxiliary_head=[fcn(c, width, i, 2) for i, (c, width) in enumerate(BOOSTERS.values(), 1)])).eval()


def their_v1():
    return MODELS.build(dict(
        type='EncoderDecoder',
        backbone=dict(type='BiSeNetV1', spatial_channels=(8, 8, 8, 16), context_channels=(16, 32, 64), out_channels=32,
                      backbone_cfg=dict(type='ResNet', depth=18, base_channels=8, norm_cfg=NORM), norm_cfg=NORM),
        decode_head=fcn(32, 12, 0), auxiliary_head=[fcn(16, 6, 1), fcn(16, 6, 2)])).eval()


def their_stdc():
    return MODELS.build(dict(
        type='EncoderDecoder',
        backbone=dict(
            type='STDCContextPathNet', last_in_channels=(64, 32), out_channels=16, norm_cfg=NORM,
            ffm_cfg=dict(in_channels=32, out_channels=32, scale_factor=4),
            backbone_cfg=dict(type='STDCNet', stdc_type='STDCNet1', in_channels=3, channels=(4, 8, 16, 32, 64),
                              bottleneck_type='cat', norm_cfg=NORM, act_cfg=dict(type='ReLU'))),
        decode_head=fcn(32, 12, 3),
        auxiliary_head=[fcn(16, 6, 2), fcn(16, 6, 1),
                        {**fcn(16, 6, 0, num_classes=2), 'type': 'STDCHead'}])).eval()


@pytest.fixture(scope='module')
def theirs():
    torch.manual_seed(0)
    return their_v2()


def our_config(folder, expansion='depthwise', out_act=True, channels=12):
    """Config of the same network in our parts."""
    boosters = {name: dict(channels=width, num_convs=2) for name, (_, width) in BOOSTERS.items()}
    model = dict(
        num_classes=CLASSES, norm_cfg=NORM,
        backbone=dict(detail_branch=dict(width_mult=0.125),
                      semantic_branch=dict(width_mult=0.125, expansion=expansion)),
        decode_head=dict(channels=channels, aggregation=dict(out_act=out_act, pointwise_bias=True)),
        auxiliary_head=boosters)
    path = folder / 'config.py'
    base = (ROOT / 'configs' / '_base_' / 'models' / 'bisenetv2.py').as_posix()
    path.write_text(f'_base_ = {base!r}\nmodel = {model!r}\n', encoding='utf-8')
    return path


def save(path, thing):
    torch.save(thing, path)
    return path


def run_tool(*arguments):
    return run_command('convert', [str(argument) for argument in arguments])


def assert_same(weights, wanted):
    assert weights.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=0, msg=name)


def test_there_and_back_through_files(theirs, tmp_path, capsys):
    """What mmengine wrote becomes what mmengine loads, and comes back bit for bit."""
    config = our_config(tmp_path)
    src = save(tmp_path / 'mmseg.pth', dict(
        meta=dict(epoch=3, dataset_meta=dict(classes=('a', 'b', 'c', 'd', 'e'), palette=np.arange(15).reshape(5, 3))),
        state_dict=OrderedDict((f'module.{name}', value) for name, value in theirs.state_dict().items()),
        optimizer=dict(state={}, param_groups=[])))
    assert run_tool(src, tmp_path / 'ours.pth', '--config', config) == 0
    printed = capsys.readouterr().out
    assert "model.backbone.semantic_branch.expansion = 'depthwise'" in printed
    assert 'model.auxiliary_head.stage4.channels = 7' in printed
    assert 'differs' not in printed

    ours = MODELS.build(Config.fromfile(config).model).eval()
    loaded = load_checkpoint(ours, str(tmp_path / 'ours.pth'), strict=True)
    assert loaded['meta']['dataset_meta']['classes'] == ('a', 'b', 'c', 'd', 'e')
    assert loaded['meta']['dataset_meta']['palette'][1] == [3, 4, 5]
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image), rtol=0, atol=1e-5)

    assert run_tool(tmp_path / 'ours.pth', tmp_path / 'back.pth', '--to', 'mmseg', '--config', config) == 0
    assert_same(read_weights(tmp_path / 'back.pth')[0], theirs.state_dict())
    load_checkpoint(their_v2(), str(tmp_path / 'back.pth'), strict=True)


@pytest.mark.parametrize('build', [their_v1, their_stdc])
def test_there_and_back_in_memory(build):
    theirs = build().state_dict()
    for name, value in theirs.items():
        if 'laplacian' not in name and value.is_floating_point():
            value.normal_()
    done = to_ours(theirs)
    assert all(name.startswith(('backbone.', 'decode_head.', 'auxiliary_head.')) for name in done.weights)
    back = to_mmseg(done.weights)
    wanted = dict(theirs)
    for part in ('weight', 'bias'):  # the channel that ours do without
        name = f'auxiliary_head.2.conv_seg.{part}'
        if name in wanted:
            wanted[name] = torch.cat((-wanted[name][1:], wanted[name][1:]))
    assert_same(back.weights, wanted)
    assert bool(back.notes) == ('auxiliary_head.2.conv_seg.weight' in theirs)
    lean = {name: value for name, value in theirs.items() if 'auxiliary' not in name}
    assert_same(to_mmseg(to_ours(lean).weights).weights, lean)


def test_every_unmatched_name_is_reported_and_nothing_is_written(theirs, tmp_path, capsys):
    odd = {'decode_head.psp.weight': torch.ones(1), 'neck.weight': torch.ones(1)}
    src = save(tmp_path / 'src.pth', {**theirs.state_dict(), **odd})
    assert run_tool(src, tmp_path / 'dst.pth') == 1
    errors = capsys.readouterr().err
    assert 'expected names with a counterpart (mmseg BiSeNetV2), got 2 others' in errors
    assert all(name in errors for name in odd)
    assert [path.name for path in tmp_path.iterdir()] == ['src.pth']


def test_unknown_source_names_the_known_ones(tmp_path):
    src = save(tmp_path / 'src.pth', {'conv1.weight': torch.ones(1)})
    with pytest.raises(CheckpointError, match=r"mmseg.*TorchSeg.*got others, the first is 'conv1.weight'"):
        convert_file(src, tmp_path / 'dst.pth')
    with pytest.raises(CheckpointError, match='got others, the first is None'):
        recognise([])


def test_missing_part_is_reported(theirs):
    weights = theirs.state_dict()
    with pytest.raises(CheckpointError, match=r'network \(mmseg BiSeNetV2\), got none(.|\n)*decode_head\.convs\.0\.'):
        to_ours({name: value for name, value in weights.items() if not name.startswith('decode_head')})
    del weights['decode_head.conv_seg.weight']
    with pytest.raises(CheckpointError, match=r'got none named decode_head\.conv_seg\.weight'):
        to_ours(weights)



def test_pickled_objects_need_trust(theirs, tmp_path, capsys):
    src = save(tmp_path / 'src.pth', dict(state_dict=theirs.state_dict(), souvenir=nn.Dropout()))
    assert run_tool(src, tmp_path / 'dst.pth') == 1
    errors = capsys.readouterr().err
    assert 'torch.nn.modules.dropout.Dropout' in errors
    assert '--trust' in errors
    assert not (tmp_path / 'dst.pth').exists()
    assert run_tool(src, tmp_path / 'dst.pth', '--trust') == 0
    assert_same(to_mmseg(read_weights(tmp_path / 'dst.pth')[0]).weights, theirs.state_dict())


def test_trusted_module_and_unknown_class(theirs, tmp_path, monkeypatch):
    src = save(tmp_path / 'module.pth', dict(model=nn.Sequential(nn.Linear(1, 2))))
    with pytest.raises(RefusedCheckpointError, match='Sequential'):
        read_weights(src)
    assert list(read_weights(src, trust=True)[0]) == ['0.weight', '0.bias']
    class_of_another_project = type('Gone', (nn.Module, ), dict(__module__='torch.nn'))
    monkeypatch.setattr(torch.nn, 'Gone', class_of_another_project, raising=False)
    src = save(tmp_path / 'gone.pth', class_of_another_project())
    monkeypatch.delattr(torch.nn, 'Gone')
    with pytest.raises(CheckpointError, match='can be rebuilt here, got .*Gone'):
        read_weights(src, trust=True)


@pytest.mark.parametrize(('thing', 'message'), [
    ({}, 'expected weights, got a dict without any'),
    ({'weight': 3}, "src.pth: expected plain tensors, got a int as 'weight'"),
    ({0: torch.ones(1)}, 'src.pth: expected weights by name, got the int 0'),
    ({'model': {0: torch.ones(1)}, 'epoch': 3}, 'src.pth: expected weights by name, got the int 0'),
])
def test_files_without_weights(thing, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        read_weights(save(tmp_path / 'src.pth', thing))


def test_damaged_file(tmp_path):
    (tmp_path / 'src.pth').write_bytes(b'PK\x03\x04 truncated')
    with pytest.raises(DamagedCheckpointError, match='got a truncated or foreign file'):
        read_weights(tmp_path / 'src.pth', trust=True)
    assert run_tool(tmp_path / 'src.pth', tmp_path / 'dst.pth') == 1


def test_dry_run_and_no_auxiliary(theirs, tmp_path, capsys):
    src = save(tmp_path / 'src.pth', theirs.state_dict())
    assert run_tool(src, tmp_path / 'dst.pth', '--dry-run') == 0
    assert 'nothing written' in capsys.readouterr().out
    assert not (tmp_path / 'dst.pth').exists()
    assert run_tool(src, tmp_path / 'dst.pth', '--no-auxiliary', '--config', our_config(tmp_path)) == 0
    printed = capsys.readouterr().out
    assert 'auxiliary heads, as asked' in printed
    assert 'stays as initialised' in printed
    assert not any(name.startswith('auxiliary') for name in read_weights(tmp_path / 'dst.pth')[0])


def test_config_must_fit(theirs, tmp_path):
    weights = theirs.state_dict()
    src, dst = save(tmp_path / 'src.pth', weights), tmp_path / 'dst.pth'
    message = r'shape: decode_head\.conv\.conv\.weight is \(12, 16, 3, 3\), the config has \(9, 16, 3, 3\)'
    with pytest.raises(CheckpointError, match=message):
        convert_file(src, dst, config=our_config(tmp_path, channels=9))
    del weights['auxiliary_head.3.conv_seg.bias']
    weights['backbone.bga.conv.conv.odd'] = torch.ones(1)
    save(src, weights)
    with pytest.raises(CheckpointError) as caught:
        convert_file(src, dst, config=our_config(tmp_path))
    assert 'missing: auxiliary_head.3.conv_seg.bias (5,)' in str(caught.value)
    assert 'left over: decode_head.aggregation.fuse.conv.odd (1,)' in str(caught.value)
    with pytest.raises(ConfigError, match='no config at'):
        convert_file(src, dst, config=tmp_path / 'absent.py')
    assert not dst.exists()


def test_options_that_no_shape_shows(theirs, tmp_path):
    """A config that loads and computes something else is told, and on the way to mmseg refused."""
    config = our_config(tmp_path, out_act=False)
    done = convert_file(save(tmp_path / 'src.pth', theirs.state_dict()), tmp_path / 'ours.pth', config=config)
    assert done.differences == ['model.decode_head.aggregation.out_act: expected True, got False']
    with pytest.raises(CheckpointError, match='computes what (.|\n)*out_act: expected True, got False'):
        convert_file(tmp_path / 'ours.pth', tmp_path / 'back.pth', to='mmseg', config=config)
    assert not (tmp_path / 'back.pth').exists()


def test_networks_that_mmseg_has_not(theirs, tmp_path):
    ours = MODELS.build(Config.fromfile(our_config(tmp_path, expansion='conv')).model)
    with pytest.raises(CheckpointError, match="expansion: expected 'depthwise', .* got 'conv'"):
        to_mmseg(ours.state_dict())
    weights = to_ours(their_v1().state_dict()).weights
    weights['decode_head.aggregation.attention.1.conv.weight'] = torch.ones(1)
    with pytest.raises(CheckpointError, match=r'got 1 others(.|\n)*attention\.1\.conv\.weight'):
        to_mmseg(weights)
    with pytest.raises(CheckpointError, match='expected those of bisenet_plugins in a form that mmseg has'):
        to_mmseg(theirs.state_dict())


def test_our_own_file_is_rewritten(theirs, tmp_path):
    ours = to_ours(theirs.state_dict()).weights
    src = save(tmp_path / 'src.pth', dict(meta=dict(CLASSES=['x'], PALETTE=[[1, 2, 3]]), state_dict=ours))
    done = convert_file(src, tmp_path / 'dst.pth')
    assert done.source == done.target == 'bisenet_plugins'
    weights, meta = read_weights(tmp_path / 'dst.pth')
    assert_same(weights, ours)
    assert meta == dict(classes=['x'], palette=[[1, 2, 3]])


def test_arguments(tmp_path):
    src = save(tmp_path / 'src.pth', {'weight': torch.ones(1)})
    with pytest.raises(ValueError, match=r"to: expected one of \('ours', 'mmseg'\), got 'theirs'"):
        convert_file(src, tmp_path / 'dst.pth', to='theirs')
    with pytest.raises(ValueError, match='dst: expected another file than src'):
        convert_file(src, src)
    with pytest.raises(FileNotFoundError, match='no checkpoint at'):
        convert_file(tmp_path / 'absent.pth', tmp_path / 'dst.pth')
