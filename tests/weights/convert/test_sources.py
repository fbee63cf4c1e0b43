"""Options are read off shapes, and held against a config."""

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from bisenet_plugins.errors import CheckpointError, ConfigError
from bisenet_plugins.weights.convert import SOURCES
from bisenet_plugins.weights.convert.sources import (
    add_zero_biases,
    check_weights,
    different_options,
    fusion_options,
    head_options,
    read_names,
    v2_options,
)

HEADS = {'decode_head.conv_seg.weight': torch.ones(5, 8, 1, 1),
         'auxiliary_head.1.conv_seg.weight': torch.ones(5, 4, 1, 1)}
CONFIG = '''
model = dict(type='BilateralSegmentor', num_classes=5, backbone=dict(type='DetailBranch', width_mult=0.125),
             decode_head=dict(type='BoosterHead', channels=8, in_index=0),
             auxiliary_head=dict(stage2=dict(type='BoosterHead', channels=4, in_index=0)))
'''


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG)
    return path


def test_names_are_written_out():
    pairs = dict(read_names('mmseg BiSeNetV2'))
    assert pairs['backbone.semantic.stage4.3.dwconv.'] == 'backbone.semantic_branch.stages.2.3.depthwise.'
    assert pairs['auxiliary_head.3.conv_seg.'] == 'auxiliary_head.3.conv_seg.' and len(pairs) == 54
    assert pairs['decode_head.conv_seg.'] == 'decode_head.conv_seg.'


@pytest.mark.parametrize('source', SOURCES, ids=lambda source: source.name)
def test_each_name_has_one_counterpart(source):
    for side in zip(*source.prefixes, strict=True):
        assert len(set(side)) == len(side) and not any(set(name) & set('{} >') for name in side)


def test_heads_that_the_weights_lack_have_no_options():
    options = head_options(HEADS, True, dict(first=None, second=False))
    assert options == {'num_classes': 5, 'decode_head.channels': 8, 'decode_head.align_corners': True,
                       'auxiliary_head.second.channels': 4, 'auxiliary_head.second.align_corners': False}
    assert v2_options(HEADS, pointwise_bias=True)['decode_head.aggregation.pointwise_bias'] is True


@pytest.mark.parametrize('attention', ['single', 'mlp'])
def test_the_form_of_the_fusion_shows_in_its_shapes(attention):
    join = 'decode_head.aggregation'
    weights = {'backbone.semantic_branch.smooth16.conv.weight': torch.ones(6, 6, 3, 3),
               f'{join}.project.conv.weight': torch.ones(8, 4, 1, 1)}
    if attention == 'mlp':
        weights |= {f'{join}.attention.{index}.conv.weight': torch.ones(*shape, 1, 1)
                    for index, shape in enumerate(((2, 8), (8, 2)))}
    options = fusion_options(weights)
    assert options[f'{join}.attention'] == attention and options.get(f'{join}.reduction') == (
        4 if attention == 'mlp' else None)


def test_a_bias_is_added_once():
    weights = dict(HEADS)
    assert len(add_zero_biases(weights)) == 2 and add_zero_biases(weights) == []
    assert weights['decode_head.conv_seg.bias'].tolist() == [0] * 5


def test_weights_are_held_against_a_config(config):
    weights = MODELS.build(Config.fromfile(config).model).state_dict()
    assert check_weights(weights, config) == []
    lean = {name: value for name, value in weights.items() if not name.startswith('auxiliary_head.')}
    assert all(name.startswith('auxiliary_head.') for name in check_weights(lean, config, 'auxiliary_head.'))
    with pytest.raises(CheckpointError, match='missing: auxiliary_head.0'):
        check_weights(lean, config)
    with pytest.raises(ConfigError, match='no config at'):
        check_weights(weights, 'none.py')


def test_options_of_a_config_count_with_the_defaults_of_its_classes(config):
    options = {'num_classes': 5, 'decode_head.num_convs': 1, 'decode_head.align_corners': True,
               'auxiliary_head.other.channels': 3, 'auxiliary_head.stage2.channels': 9}
    assert different_options(config, options) == [
        'model.decode_head.align_corners: expected True, got False',
        'model.auxiliary_head.stage2.channels: expected 9, got 4']
