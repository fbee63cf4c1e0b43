"""Class maps as pictures."""

import numpy as np
import pytest
import torch

from bisenet_plugins.visualize import as_palette, colourize, displayable, encode_image, overlay, picture_grid


def test_colours_and_overlays():
    palette = as_palette([[10, 20, 30]], 1)
    mask = np.array([[0, 255]], np.uint8)
    assert colourize(mask, palette).tolist() == [[[30, 20, 10], [0, 0, 0]]]
    image = np.full((1, 2, 3), 100, np.uint8)
    assert overlay(image, mask, palette, 1.0).tolist() == [[[30, 20, 10], [100, 100, 100]]], 'ignored pixels stay'


def test_made_colours_differ():
    palette = as_palette(None, 30)
    assert len({tuple(colour) for colour in palette[:30].tolist()}) == 30
    assert not palette[30:].any()


@pytest.mark.parametrize(('inputs', 'wanted'), [
    (torch.full((3, 2, 2), 7, dtype=torch.uint8), 7),
    (torch.full((1, 2, 2), 7, dtype=torch.uint8), 7),
    (torch.full((5, 2, 2), 7.0), 7),
    (torch.tensor([0.0, 1.0]).view(1, 1, 2), 127),
    (torch.tensor([-3.0, 3.0]).view(1, 1, 2), 127),
])
def test_inputs_of_any_kind_can_be_shown(inputs, wanted):
    shown = displayable(inputs)
    assert shown.dtype == np.uint8 and shown.shape[2] == 3
    assert int(shown.mean()) == wanted


def test_wrong_arguments_are_named():
    image, mask = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3), np.uint8)
    palette = as_palette(None, 1)
    with pytest.raises(ValueError, match='the palette has 1 colours, 2 classes want one each'):
        as_palette([[0, 0, 0]], 2)
    with pytest.raises(ValueError, match='equal sides are wanted'):
        overlay(image, mask, palette)
    with pytest.raises(ValueError, match='opacity is -0.1, a number from 0 to 1 is wanted'):
        overlay(image, mask[:, :2], palette, -0.1)
    with pytest.raises(ValueError, match=r'rows have \[1\] pictures, each wants 2'):
        picture_grid([[image]], ['a', 'b'])
    with pytest.raises(ValueError, match=r"cannot be written as '.none'"):
        encode_image(image, '.none')
