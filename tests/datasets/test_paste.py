"""Rare things come from another image, in shape and place."""

import numpy as np
import pytest

from bisenet_plugins import PasteComponents


def scene(seed, thing=None):
    random = np.random.default_rng(seed)
    label = np.zeros((40, 60), np.uint8)
    if thing is not None:
        label[5:25, 10:14] = 2  # a pole
        label[3:9, 8:18] = 6  # with its sign
        label[30:32, 40:42] = 9  # and a person that is too small
    return dict(img=random.integers(0, 256, (40, 60, 3), dtype=np.uint8), gt_seg_map=label)


def test_what_touches_moves_together_and_nothing_else_changes():
    np.random.seed(0)
    target, source = scene(0), scene(1, 'thing')
    before = {key: value.copy() for key, value in target.items()}
    paste = PasteComponents(classes=(2, 6, 9), prob=1.0, max_components=1, shift_ratio=0.05)
    out = paste(dict(**target, mix_results=[source]))
    changed = out['gt_seg_map'] != 0
    assert (out['gt_seg_map'] == 2).sum() == (source['gt_seg_map'] == 2).sum()
    assert (out['gt_seg_map'] == 6).sum() == (source['gt_seg_map'] == 6).sum()
    assert not (out['gt_seg_map'] == 9).any(), 'too small'
    rows = np.nonzero(changed.any(1))[0]
    assert (rows[0], rows[-1]) == (3, 24), 'at the height where it stood'
    np.testing.assert_array_equal(out['img'][~changed], before['img'][~changed])
    for key, value in before.items():
        np.testing.assert_array_equal(target[key], value)
    pasted, taken = (np.sort(image[mask], axis=0) for image, mask in (
        (out['img'], changed), (source['img'], np.isin(source['gt_seg_map'], (2, 6)))))
    np.testing.assert_array_equal(pasted, taken)


def test_nothing_to_paste_changes_nothing():
    for settings, source in ((dict(prob=0.0), scene(1, 'thing')), (dict(prob=1.0), scene(1))):
        target = scene(0)
        out = PasteComponents(classes=(2, 6), **settings)(dict(**target, mix_results=[source]))
        assert out['img'] is target['img'] and out['gt_seg_map'] is target['gt_seg_map']


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(classes=()), '^classes: expected the ids'), (dict(classes=(1,), prob=2), 'prob: expected .* got 2'),
    (dict(classes=(1,), max_components=0), 'max_components: expected a whole number of at least 1, got 0')])
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PasteComponents(**arguments)
