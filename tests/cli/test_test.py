"""The test command scores a checkpoint and writes its masks."""

import cv2
import pytest


def test_a_checkpoint_is_scored_and_its_masks_are_written(bisenet, trained, tmp_path):
    config, run = trained
    words = ['test', config, run / 'iter_4.pth', '--work-dir', 'test', '--out', 'ids']
    assert bisenet(*words)[0] == 0
    masks = sorted((tmp_path / 'ids').iterdir())
    assert len(masks) == 4 and cv2.imread(str(masks[0]), cv2.IMREAD_UNCHANGED).shape == (48, 64)
    assert 'mIoU' in ''.join(path.read_text() for path in (tmp_path / 'test').rglob('*.json'))


@pytest.mark.parametrize('words, sentence', [
    (['none.py', 'none.pth'], 'error: config: expected a file, or a name that "bisenet list" has, got none.py\n'),
    (['tiny.py', 'none.pth'], 'error: no checkpoint at none.pth\n'),
])
def test_what_is_not_there_is_one_sentence(bisenet, tiny_config, words, sentence):
    assert bisenet('test', *words) == (1, '', sentence)
