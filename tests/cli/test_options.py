"""Options that commands share: numbers, values laid over a config, and the choice of a network."""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace

import pytest

from bisenet_plugins.cli.options import (
    add_config_options,
    add_network,
    chosen_network,
    config_options,
    find_config,
    number,
    open_network,
    whole,
)
from bisenet_plugins.errors import ConfigError, InputError
from bisenet_plugins.weights import pretrained_names


def chosen(*words):
    parser = ArgumentParser()
    add_network(parser)
    return chosen_network(parser.parse_args(words))


@pytest.mark.parametrize('text', ['0', '-1', '1.5', 'a', '', '1e3'])
def test_a_number_that_means_nothing_is_refused(text):
    with pytest.raises(ArgumentTypeError, match=f'expected a whole number of at least 1, got {text!r}'):
        whole(1)(text)


@pytest.mark.parametrize('text', ['-0.1', '1.01', 'nan', 'a'])
def test_a_share_outside_its_range_is_refused(text):
    with pytest.raises(ArgumentTypeError, match=f'expected a number from 0 to 1, got {text!r}'):
        number(0, 1)(text)
    assert number(0, 1)('1') == 1


def test_config_options_are_read_as_mmengine_reads_them():
    words = ['a.b=3', 'c=[1,2]', 'd=x=y', 'e=True']
    assert config_options(Namespace(cfg_options=words)) == {'a.b': 3, 'c': [1, 2], 'd': 'x=y', 'e': True}
    assert config_options(Namespace(cfg_options=[])) == {}


@pytest.mark.parametrize(('text', 'value'), [
    ("[{'type': 'A', 'b': [1, 2]}, {'type': 'B'}]", [{'type': 'A', 'b': [1, 2]}, {'type': 'B'}]),
    ('{}', {}), ('iter_{}.pth', 'iter_{}.pth'), ('[x_{}.pth,1]', ['x_{}.pth', 1]), ('predict(1)', 'predict(1)'),
    ('/a b/c d', '/a b/c d'), ("['Sign Symbol','Fence']", ['Sign Symbol', 'Fence']), ("'a,b.txt'", 'a,b.txt'),
    ("'1'", '1'), ("'[x]'", '[x]'), ('my run {1}', 'my run {1}'), ('1,2', [1, 2]), ('(1,2)', (1, 2)),
    ('a,b', ['a', 'b']),
    ('(a,b)', ('a', 'b')), ('true', True), ('None', None), ('-1e-3', -0.001), ('', ''), ('x=y', 'x=y')])
def test_values_are_read_as_they_are_written(text, value):
    found = config_options(Namespace(cfg_options=[f'a={text}']))['a']
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(('text', 'expected'), [
    ("[dict(type='A')]", "dicts written as {'type': 'A'}"), ("dict(type='A',b=1)", 'dicts written as'),
    ('[1,(2]', 'a value as Python writes it'), ('[f(1,2),3]', 'a value as Python writes it')])
def test_values_that_cannot_be_read_are_refused(text, expected):
    with pytest.raises(InputError, match=f'^--cfg-options: expected {expected}.*{re.escape(text)}'):
        config_options(Namespace(cfg_options=[f'a={text}']))


def test_options_given_twice_add_up():
    parser = ArgumentParser()
    add_config_options(parser)
    args = parser.parse_args('--cfg-options a=1 b=2 --cfg-options c=3'.split())
    assert config_options(args) == dict(a=1, b=2, c=3) and config_options(parser.parse_args([])) == {}


@pytest.mark.parametrize('word', ['a', '=3'])
def test_an_option_without_key_or_value_is_refused(word):
    with pytest.raises(InputError, match=f'--cfg-options: expected KEY=VALUE, got {word!r}'):
        config_options(Namespace(cfg_options=[word]))


def test_a_network_is_chosen_in_one_of_three_ways():
    assert chosen('--config', 'a.py', '--checkpoint', 'a.pth') == ('a.py', 'a.pth')
    assert chosen('--pretrained', 'some') == ('some', None)
    assert chosen('--model', 'folder') == ('folder', None)
    assert chosen() == (pretrained_names()[0], None)


@pytest.mark.parametrize('words, sentence', [
    (['--config', 'a.py'], 'expected --config and --checkpoint together, got no --checkpoint'),
    (['--checkpoint', 'a.pth'], 'expected --config and --checkpoint together, got no --config'),
    (['--model', ''], "--model: expected a name, got ''"),
    (['--pretrained', ''], "--pretrained: expected a name, got ''"),
    (['--config', 'a.py', '--pretrained', 'b'], 'got --config and --checkpoint as well as --pretrained'),
    (['--model', 'a', '--pretrained', 'b'], 'got --pretrained as well as --model'),
])
def test_half_a_choice_or_two_are_refused(words, sentence):
    with pytest.raises(InputError, match=sentence):
        chosen(*words)


def test_without_a_shipped_network_one_must_be_named(no_shipped_network):
    with pytest.raises(InputError, match='no network comes with this copy of the package; name one by --config and'):
        chosen()


@pytest.mark.parametrize('words, sentence', [
    (['--pretrained', 'big'], "expected one of .*bisenetv2-camvid.*, got 'big'"),
    (['--model', 'none'], "--model: expected an existing folder or ONNX file that \"export\" wrote, got 'none'"),
    (['--model', __file__], '--model: expected an existing folder or ONNX file that "export" wrote, got .*test_opt')])
def test_a_network_that_is_not_there_names_itself(words, sentence):
    parser = ArgumentParser()
    add_network(parser)
    with pytest.raises(InputError, match=sentence):
        open_network(parser.parse_args(words), 'torch')


def test_the_configs_of_the_package_are_found():
    assert find_config('stdc/stdc1_seg_1xb24-10k_camvid-720x960.py').is_file()
    with pytest.raises(ConfigError, match='config: expected a file, or a name that "bisenet list" has, got none'):
        find_config('none.py')
