"""Mistakes that a config shows by itself; ``faults/test_configs.py`` has one for every kind."""

import pytest
from mmengine.config import Config
from mmengine.registry import Registry
from mmseg.registry import MODELS

from bisenet_plugins.config import check_config, explained, read_config
from bisenet_plugins.errors import BisenetError, ConfigError, InputError
from bisenet_plugins.models import DetailBranch


def test_a_config_that_leads_back_to_itself_is_named(tmp_path):
    (tmp_path / 'a.py').write_text("_base_ = './b.py'")
    (tmp_path / 'b.py').write_text("_base_ = './a.py'")
    with pytest.raises(ConfigError, match='a.py, which leads back to itself'):
        read_config(tmp_path / 'a.py')
    (tmp_path / 'c.json').write_text('{"_base_": "./c.json"}')
    with pytest.raises(ConfigError, match='c.json, which leads back to itself'):
        read_config(tmp_path / 'c.json')


def test_why_an_own_module_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'own_module_a.py').write_text('import nowhere_b')
    (tmp_path / 'a.py').write_text("custom_imports = dict(imports=['own_module_a'])")
    with pytest.raises(ConfigError, match="No module named 'nowhere_b'; PYTHONPATH=FOLDER"):
        read_config(tmp_path / 'a.py')


def test_names_that_a_lazy_base_imports_pass(tmp_path):
    (tmp_path / 'lazy_base.py').write_text(
        'import torch\nfrom mmengine.optim import OptimWrapper\nfrom torch.optim import SGD\n'
        'optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.1))\n')
    (tmp_path / 'top.py').write_text(
        'from mmengine.config import read_base\nwith read_base():\n    from .lazy_base import *\n'
        'optim_wrapper.optimizer.lr = 0.5\n')
    assert read_config(tmp_path / 'top.py').optim_wrapper.optimizer.lr == 0.5


@pytest.mark.parametrize(('config', 'error', 'sentence'), [
    (dict(optim_wraper=dict()), ConfigError, "optim_wraper: .* did you mean 'optim_wrapper'"),
    (dict(lr_config=dict()), ConfigError, 'its place is param_scheduler'),
    (dict(model=dict(type='EncoderDecodr')), ConfigError, "model.type: .* did you mean 'EncoderDecoder'"),
    (dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=0)), InputError, 'train_cfg.max_iters: .* got 0'),
    (dict(train_dataloader=3), InputError, 'train_dataloader: expected a dict, got 3'),
    (dict(custom_hooks={'0': dict(type='EMAHook')}), ConfigError, 'custom_hooks: expected a list of dicts'),
    (dict(custom_hooks=[dict(type='EMAHook', _delete_=True)]), ConfigError, r'custom_hooks\.0: expected _delete_ in'),
    (dict(optim_wrapper=dict(paramwise_cfg=dict(norm_decay_mul=1))), ConfigError,
     "expected an argument of paramwise_cfg, got 'norm_decay_mul'; did you mean 'norm_decay_mult'"),
    (dict(auto_scale_lr=dict(enble=True)), ConfigError, "did you mean 'enable'"),
    (dict(env_cfg=dict(cudnn_benchmarkk=True)), ConfigError, "did you mean 'cudnn_benchmark'")])
def test_a_mistake_is_seen_before_anything_is_built(config, error, sentence):
    with pytest.raises(error, match=sentence):
        check_config(Config(config))


def test_what_configs_define_for_themselves_passes(tmp_path):
    (tmp_path / 'a.py').write_text("load_fro = 'a'\nload_from = load_fro\ncrop_size = (3, 4)\nmy_note = 'x'\n")
    assert read_config(tmp_path / 'a.py').crop_size == (3, 4)


@pytest.mark.parametrize('config', [
    dict(model=dict(decode_head=dict(type='FCNHead', dropout_ratio=-1), type='EncoderDecoder')),
    dict(log_processor=dict(custom_cfg=[dict(data_src='loss', method_name='mean', window_size='global')])),
    dict(train_dataloader=dict(dataset=dict(type='ADE20KDataset', pipeline=[
        dict(type='Albu', transforms=[dict(type='RandomBrightnessContrast')])])))])
def test_what_mmseg_and_mmengine_take_passes(config):
    check_config(Config(config))


@pytest.fixture
def own_scope():
    """A registry of networks of a scope of its own, which its configs have as their default."""
    registry = Registry('model', parent=MODELS, scope='own_parts')
    yield registry
    del MODELS.children['own_parts']


def test_plain_names_of_the_default_scope_pass(own_scope):
    own_scope.register_module(name='OwnBranch', module=DetailBranch)
    model = dict(type='EncoderDecoder', backbone=dict(type='OwnBranch'))
    check_config(Config(dict(default_scope='own_parts', model=model)))
    for scope in (dict(), dict(default_scope='mmseg'), dict(default_scope=None)):
        with pytest.raises(ConfigError, match="model.backbone.type: expected .* registered in 'model', got 'OwnBranch"):
            check_config(Config(dict(scope, model=model)))
    model['backbone']['type'] = 'OwnBrunch'
    with pytest.raises(ConfigError, match="^model.backbone.type: expected .* registered in 'model', got 'OwnBrunch'"):
        check_config(Config(dict(default_scope='own_parts', model=model)))


def test_what_fails_while_building_is_named_by_its_place():
    cfg = Config(dict(model=dict(type='MobileNetV2', widen_facto=1)))
    with pytest.raises(ConfigError, match="model: expected an argument of MobileNetV2, got 'widen_facto'; did you mean "
                                          "'widen_factor'"):
        with explained(cfg):
            MODELS.build(cfg.model)


def test_errors_of_this_project_and_of_files_stay_what_they_are():
    for error in (InputError('a'), FileNotFoundError('b')):
        with pytest.raises((BisenetError, OSError)) as raised, explained(Config({})):
            raise error
        assert raised.value is error
