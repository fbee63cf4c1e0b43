"""The train command: a run, and its resumption."""

import pytest

from bisenet_plugins.cli import train

SMALL = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'train_dataloader.num_workers=0',
         'train_dataloader.persistent_workers=False']


def test_a_training_is_resumed(bisenet, tiny_config, tmp_path):
    options = ['--work-dir', 'run', '--cfg-options', *SMALL]
    assert bisenet('train', tiny_config, *options)[0] == 0
    assert bisenet('train', tiny_config, '--resume', *options, 'train_cfg.max_iters=4')[0] == 0
    assert (tmp_path / 'run' / 'last_checkpoint').read_text().endswith('iter_4.pth')


@pytest.mark.parametrize('words, sentence', [
    (['none.py'], 'error: config: expected a file, or a name that "bisenet list" has, got none.py\n'),
    (['tiny.py', '--cfg-options', 'a'], "error: --cfg-options: expected KEY=VALUE, got 'a'\n"),
])
def test_what_does_not_fit_is_one_sentence(bisenet, tiny_config, words, sentence):
    assert bisenet('train', *words) == (1, '', sentence)


def test_an_interrupted_training_says_how_to_go_on():
    assert train.RESUME == 'run the same command with --resume to go on'


def test_classes_that_differ_are_refused_before_the_first_step(bisenet, tiny_config, tmp_path):
    status, _, told = bisenet('train', tiny_config, '--work-dir', 'run', '--cfg-options', *SMALL,
                              'model.decode_head.num_classes=4')
    assert status == 1 and 'num_classes: expected 11, the number of' in told
