"""The prepare-camvid command: files that were left out are named, and make the exit status 1."""

import cv2
import numpy as np
import pytest


@pytest.mark.parametrize('complete', [True, False])
def test_the_report_decides_the_exit_status(bisenet, tmp_path, complete):
    for name in 'ab':
        for part, shape in (('train', (4, 6, 3)), ('trainannot', (4, 6))):
            (tmp_path / 'camvid' / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / 'camvid' / part / f'{name}.png'), np.ones(shape, np.uint8))
    if not complete:
        (tmp_path / 'camvid' / 'trainannot' / 'a.png').unlink()
    status, told, _ = bisenet('prepare-camvid', 'camvid', '--out', 'out')
    assert status == int(not complete)
    assert f'train: {2 - status} written' in told and ('a.png: has no label' in told) is not complete


def test_a_folder_that_is_not_there_is_one_sentence(bisenet):
    status, told, failure = bisenet('prepare-camvid', 'none')
    assert (status, told) == (1, '') and failure.startswith('error: ') and 'none' in failure
    assert len(failure.splitlines()) == 1
