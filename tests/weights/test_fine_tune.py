"""A network in the package is what a training starts from, by its name, with other classes too."""

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from bisenet_plugins.cli.options import find_config
from bisenet_plugins.engine.launch import build_runner, load_config, prepare_training
from bisenet_plugins.errors import InputError
from bisenet_plugins.weights import load_from_package
from bisenet_plugins.weights.store import read_shipped

NAME = 'bisenet_plugins://bisenetv2-camvid'
CONFIG = '1_bisenetv2_bga_1xb8-cpu-1.5k_camvid-192x256'


@pytest.fixture
def told(monkeypatch):
    """What the segmentor logs."""
    lines = []
    monkeypatch.setattr('bisenet_plugins.models.segmentors.bilateral_segmentor.print_log',
                        lambda line, **settings: lines.append(line))
    return lines


def model(num_classes=11, **settings):
    cfg = Config.fromfile(find_config(CONFIG))
    cfg.merge_from_dict({f'model.{key}': value for key, value in dict(settings, num_classes=num_classes).items()})
    built = MODELS.build(cfg.model)
    built.init_weights()
    return built


def same(built, name):
    return torch.equal(built.state_dict()[name], read_shipped('bisenetv2-camvid')[1][name].float())


def test_init_cfg_loads_by_name_and_says_what_is_left_in_one_line(told):
    built = model(5, init_cfg=dict(type='Pretrained', checkpoint=NAME))
    assert all(same(built, name) for name in built.state_dict() if name.startswith('backbone.') and 'num_b' not in name)
    assert built.decode_head.conv_seg.weight.shape[0] == 5
    (line,) = told
    assert line == ('weights that were not loaded: decode_head.conv_seg (of another shape); auxiliary_head.0, '
                    'auxiliary_head.1, auxiliary_head.2, auxiliary_head.3 (not in the file)')


def test_a_part_takes_its_share_by_prefix(told):
    built = model(3, **{'backbone.semantic_branch.init_cfg': dict(
        type='Pretrained', checkpoint=NAME, prefix='backbone.semantic_branch.')})
    names = [name for name in built.state_dict() if name.startswith('backbone.semantic_branch.')]
    assert names and all(same(built, name) for name in names if 'num_batches' not in name)
    assert told == []


def test_a_training_starts_from_it_and_resumes_from_its_own_checkpoints(tiny_config, tmp_path, told):
    options = {'load_from': NAME, 'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False}
    cfg = load_config(tiny_config, tmp_path / 'run', options)
    cfg.model = Config.fromfile(find_config(CONFIG)).model
    cfg.model.num_classes = 4
    runner = build_runner(prepare_training(cfg, resume=True))
    assert cfg.load_from == NAME and not cfg.resume
    runner.load_or_resume()
    assert same(runner.model, 'backbone.semantic_branch.stem.fuse.conv.weight') and len(told) == 1
    torch.save(dict(meta={}, state_dict={}, optimizer={}), tmp_path / 'run' / 'iter_1.pth')
    cfg = prepare_training(load_config(tiny_config, tmp_path / 'run', options), resume=True)
    assert cfg.resume and cfg.load_from.endswith('iter_1.pth')


def test_a_strict_load_stays_strict():
    state = dict(load_from_package(NAME)['state_dict'])
    with pytest.raises(RuntimeError, match='size mismatch for decode_head.conv_seg.weight'):
        model(5).load_state_dict(state)


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match='expected one of bisenetv1-efficientnet-lite0-camvid, '):
        load_from_package('bisenet_plugins://none')
