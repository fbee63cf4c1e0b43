"""The complexity command counts a config at its own size, or at another one."""

import pytest

from bisenet_plugins.cli.demo import CONFIG
from bisenet_plugins.cli.options import find_config


@pytest.mark.parametrize('config, words, size', [
    (CONFIG, [], '144 x 192'), (find_config(CONFIG), ['--shape', 64, 96], '64 x 96')])
def test_a_config_is_counted_by_its_name_or_path(bisenet, config, words, size):
    status, told, _ = bisenet('complexity', config, *words)
    assert status == 0 and f'image                 {size}\n' in told and 'multiply-adds' in told


def test_values_are_laid_over_the_config(bisenet):
    counted = [bisenet('complexity', find_config(CONFIG), '--cfg-options', f'model.decode_head.channels={channels}')[1]
               for channels in (8, 16)]
    assert counted[0] != counted[1]


def test_a_size_that_no_network_here_takes_is_one_sentence(bisenet):
    status, told, failure = bisenet('complexity', CONFIG, '--shape', 31, 64)
    assert (status, told) == (2, '') and "--shape: expected a whole number of at least 32, got '31'" in failure


def test_a_grey_network_is_counted(bisenet):
    words = ['model.data_preprocessor.mean=[110.0]', 'model.data_preprocessor.std=[60.0]',
             'model.backbone.detail_branch.in_channels=1', 'model.backbone.semantic_branch.in_channels=1',
             'model.data_preprocessor.bgr_to_rgb=False']
    status, told, failure = bisenet('complexity', CONFIG, '--cfg-options', *words)
    assert status == 0 and 'multiply-adds' in told, failure


def test_a_config_that_is_not_there_is_one_sentence(bisenet):
    sentence = 'error: config: expected a file, or a name that "bisenet list" has, got none.py\n'
    assert bisenet('complexity', 'none.py') == (1, '', sentence)
