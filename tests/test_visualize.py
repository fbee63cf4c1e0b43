"""Palettes, overlays, maps, grids and encodings."""

import io

import cv2
import numpy as np
import pytest
import torch
from mmseg.datasets import ADE20KDataset, CityscapesDataset
from PIL import Image

from bisenet_plugins.datasets import CamVidDataset
from bisenet_plugins.visualize import (
    apart,
    as_palette,
    colourize,
    displayable,
    encode_ids,
    encode_image,
    encode_palette,
    error_map,
    heat_map,
    image_grid,
    legend,
    overlay,
    write_image,
)


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


@pytest.mark.parametrize(('inputs', 'expected'), [
    (torch.full((3, 2, 2), 7, dtype=torch.uint8), 7),
    (torch.full((1, 2, 2), 7, dtype=torch.uint8), 7),
    (torch.full((5, 2, 2), 7.0), 7),
    (torch.tensor([0.0, 1.0]).view(1, 1, 2), 127),
    (torch.tensor([-3.0, 3.0]).view(1, 1, 2), 127),
])
def test_inputs_of_any_kind_can_be_shown(inputs, expected):
    shown = displayable(inputs)
    assert shown.dtype == np.uint8 and shown.shape[2] == 3
    assert int(shown.mean()) == expected


def test_wrong_arguments_are_named():
    image, mask = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3), np.uint8)
    palette = as_palette(None, 1)
    with pytest.raises(ValueError, match='colours: expected 2 of them, got 1'):
        as_palette([[0, 0, 0]], 2)
    with pytest.raises(ValueError, match=r"mask: expected the image's size \(2, 2\), got \(2, 3\)"):
        overlay(image, mask, palette)
    with pytest.raises(ValueError, match='opacity: expected a number from 0 to 1, got -0.1'):
        overlay(image, mask[:, :2], palette, -0.1)
    with pytest.raises(ValueError, match=r'rows: expected 2 images in each, got \[1\]'):
        image_grid([[image]], ['a', 'b'])
    with pytest.raises(ValueError, match=r"suffix: expected that of .* for sides of \(2, 2\), got '.none'"):
        encode_image(image, '.none')
    with pytest.raises(ValueError, match=r"suffix: expected that of .* for sides of \(1, 66000\), got '.jpg'"):
        encode_image(np.zeros((1, 66000, 3), np.uint8), '.jpg')


def test_grid_scales_rows_to_cells():
    wide, tall = np.full((10, 40, 3), 9, np.uint8), np.full((40, 20, 3), 200, np.uint8)
    grid = image_grid([[wide, wide], [tall, tall]], ['a', 'b'], cell_width=20, gap=2)
    assert grid.shape == (26 + 5 + 2 + 40 + 2, 42, 3)
    assert (grid[26:31, 22:] == 9).all() and (grid[33:73, :20] == 200).all() and (grid[:, 20:22][26:] == 255).all()


def test_error_and_heat_maps():
    grey = np.full((1, 2, 3), 100, np.uint8)
    assert error_map(grey, np.array([[0, 1]]), np.array([[0, 0]]), 2)[0].tolist() == [[100] * 3, [40, 40, 230]]
    hot = heat_map(np.zeros((1, 2, 3), np.uint8), np.array([[0.0, 1.0]], np.float32))
    assert hot[0, 0, 0] > hot[0, 0, 2] and hot[0, 1, 2] > hot[0, 1, 0]


def test_masks_keep_their_ids(tmp_path):
    mask, palette = np.array([[0, 1, 255]], np.uint8), as_palette([[10, 20, 30], [1, 2, 3]], 2)
    indexed = Image.open(io.BytesIO(encode_palette(mask, palette)))
    assert indexed.mode == 'P' and indexed.getpalette()[:6] == [10, 20, 30, 1, 2, 3]
    for content in (encode_palette(mask, palette), encode_ids(mask)):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), mask)
    write_image(tmp_path / 'a' / 'b.png', np.full((2, 3, 3), 7, np.uint8))
    assert (cv2.imread(str(tmp_path / 'a' / 'b.png')) == 7).all()
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert len(encode_image(noise, '.jpg', quality=20)) < len(encode_image(noise, '.jpg'))


@pytest.mark.parametrize('dataset, gap', [(CamVidDataset, 42), (CityscapesDataset, 30), (ADE20KDataset, 6.5)])
def test_colours_of_an_overlay_stay_apart(dataset, gap):
    """Twice the distance, or more, that the nearest two of the dataset's own colours have."""
    number = len(dataset.METAINFO['classes'])
    own = as_palette(dataset.METAINFO['palette'], number)

    def nearest(colours):
        lab = cv2.cvtColor(colours[None, :number].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0] * (0.5, 1, 1)
        return (np.linalg.norm(lab[:, None] - lab, axis=2) + 1e9 * np.eye(number)).min()

    chosen = apart(own, number)
    assert nearest(chosen) >= max(gap, 1.8 * nearest(own))
    np.testing.assert_array_equal(chosen[number:], own[number:])


@pytest.mark.parametrize('size', [(33, 48), (360, 480), (1081, 1921)])
def test_a_legend_fits_its_image(size):
    image = np.full((*size, 3), 80, np.uint8)
    names = ['Road', 'A class with a long name', 'Sky']
    painted = legend(image, [(name, (0, 0, 250)) for name in names])
    np.testing.assert_array_equal(painted[:size[0], :size[1]], image)
    strip = painted[size[0]:]
    assert painted.shape[0] % 2 == 0 and (strip[:, [0, -1]] == 255).all() and (strip[-1] == 255).all()
    assert cv2.connectedComponents((strip == (250, 0, 0)).all(-1).astype(np.uint8))[0] == 1 + len(names)
    assert painted.shape[1] == size[1] or size[1] < 200
    assert legend(image, []) is image
