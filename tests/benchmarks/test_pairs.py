"""The pair of networks that are compared has the same weights."""

import numpy as np
import pytest
import torch

from benchmarks.candidates import open_candidate
from benchmarks.harness import load_image
from benchmarks.pairs import pair_configs, write_pair


def masks_of(paths, image):
    kinds = dict(mmseg='mmseg', ours='torch')
    return [open_candidate(name, kinds[name], str(path), str(path.with_suffix('.pth'))).whole(image)
            for name, path in paths.items()]


def test_pair_returns_the_same_mask(tmp_path):
    image = load_image(None, (64, 128))
    paths = write_pair(tmp_path, image, (32, 64), 16)
    assert set(paths) == set(pair_configs()) == {'mmseg', 'ours'}
    theirs, ours = masks_of(paths, image)
    assert (theirs == ours).mean() > 0.97 and len(np.unique(theirs)) > 2
    trained = write_pair(tmp_path / 'trained', image, (32, 64), 16, str(paths['mmseg'].with_suffix('.pth')))
    first, second = (torch.load(path['ours'].with_suffix('.pth'))['state_dict'] for path in (paths, trained))
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0)


@pytest.mark.slow
def test_trained_weights_are_narrowed_and_get_classes_that_never_win(tmp_path):
    image = load_image(None, (64, 128))
    wide = write_pair(tmp_path / 'wide', image, (32, 64), 32)
    made = write_pair(tmp_path / 'made', image, (32, 64), 24, str(wide['mmseg'].with_suffix('.pth')), classes=25)
    theirs, ours = masks_of(made, image)
    assert theirs.max() < 19 and (theirs == ours).mean() > 0.97
    assert (theirs == masks_of(wide, image)[0]).mean() > 0.5  # 24 of 32 channels, fitted to the logits of all
    weights = torch.load(made['mmseg'].with_suffix('.pth'))['state_dict']
    assert weights['decode_head.conv_seg.weight'].shape == (25, 24, 1, 1)
