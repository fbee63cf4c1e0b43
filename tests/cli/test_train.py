"""The commands train, test and demo on drawn scenes."""

import cv2
import numpy as np
import pytest

SMALL = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'train_dataloader.num_workers=0',
         'train_dataloader.persistent_workers=False']


@pytest.mark.parametrize('words', [['train', 'none.py'], ['test', 'none.py', 'none.pth'], ['demo', 'none.py'],
                                   ['check-data', 'none.py']])
def test_a_missing_config_is_one_sentence(bisenet, no_shipped_network, words):
    status, told, failure = bisenet(*words)
    assert (status, told, failure) == (1, '', 'error: there is no config at none.py\n')


def test_a_training_is_resumed_and_its_checkpoint_tested(bisenet, tiny_config, tmp_path):
    options = ['--work-dir', 'run', '--cfg-options', *SMALL]
    assert bisenet('train', tiny_config, *options)[0] == 0
    assert bisenet('train', tiny_config, '--resume', *options, 'train_cfg.max_iters=4')[0] == 0
    assert (tmp_path / 'run' / 'last_checkpoint').read_text().endswith('iter_4.pth')
    words = ['test', tiny_config, 'run/iter_4.pth', '--work-dir', 'run/test', '--out', 'ids']
    assert bisenet(*words)[0] == 0
    assert len(list((tmp_path / 'ids').iterdir())) == 4

    values = np.full((40, 60, 3), 90, np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), values)
    words = ['predict', 'a.png', '--config', tiny_config, '--checkpoint', 'run/iter_4.pth', '--save', 'ids']
    assert bisenet(*words)[0] == 0
    assert cv2.imread(str(tmp_path / 'outputs' / 'ids' / 'a.png')).shape == (40, 60, 3)


def test_a_checkpoint_that_is_not_there_is_one_sentence(bisenet, tiny_config):
    status, _, failure = bisenet('test', tiny_config, 'none.pth')
    assert status == 1 and failure == 'error: no checkpoint at none.pth\n'
