"""The one-step scaling and cropping draws and gives what mmseg's separate transforms do."""

import random

import numpy as np
import pytest
from mmcv.transforms import Compose
from mmseg.registry import TRANSFORMS

from bisenet_plugins.datasets.scenes.painter import paint_scene
from bisenet_plugins.datasets.transforms import RandomScaleCropWarp

SIDES = (96, 128)
PAD = (104, 116, 124)
# name: (scale, ratios, crop, size, cat_max_ratio)
PROTOCOLS = {
    'camvid': ((128, 96), (0.5, 2.0), (96, 128), None, 0.75),
    'small crop': ((128, 96), (0.5, 2.0), (48, 64), None, 0.75),
    'cityscapes': ((128, 96), (0.75, 2.0), (96, 128), (48, 64), 1.0),
    'odd': ((131, 97), (0.6, 1.9), (61, 93), (40, 57), 1.0),
}
every_protocol = pytest.mark.parametrize('name', PROTOCOLS)


def separate(name: str) -> Compose:
    """mmseg's own transforms."""
    scale, ratios, crop, size, cat_max_ratio = PROTOCOLS[name]
    steps = [dict(type='RandomResize', scale=scale, ratio_range=ratios, keep_ratio=True),
             dict(type='RandomCrop', crop_size=crop, cat_max_ratio=cat_max_ratio),
             dict(type='Pad', size=crop[::-1], pad_val=dict(img=PAD, seg=255))]
    if size:
        steps.append(dict(type='Resize', scale=size[::-1], keep_ratio=False))
    return Compose([TRANSFORMS.build(step) for step in steps])


def joint(name: str, **settings) -> RandomScaleCropWarp:
    scale, ratios, crop, size, cat_max_ratio = PROTOCOLS[name]
    return RandomScaleCropWarp(scale, ratios, crop, size, cat_max_ratio=cat_max_ratio, pad_val=PAD, **settings)


def sample(image: np.ndarray, label: np.ndarray) -> dict:
    return dict(img=image.copy(), gt_seg_map=label.copy(), seg_fields=['gt_seg_map'], img_shape=label.shape)


def run(transform, seed: int, image: np.ndarray, label: np.ndarray) -> dict:
    random.seed(seed)
    np.random.seed(seed)
    return transform(sample(image, label))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


@pytest.fixture(scope='module')
def scene() -> tuple[np.ndarray, np.ndarray]:
    return paint_scene(SIDES, 3, 0)


@pytest.fixture(scope='module')
def coordinates() -> tuple[np.ndarray, np.ndarray]:
    """An image whose pixels hold their own place: rows, columns and 1, so that what was sampled can be read off."""
    rows, columns = np.mgrid[: SIDES[0], : SIDES[1]].astype(np.float32)
    return np.stack([rows, columns, np.ones(SIDES, np.float32)], axis=-1), (columns % 7).astype(np.uint8)


@every_protocol
def test_equals_separate_transforms_from_the_same_seed(name, scene):
    """Same draws, labels equal in every pixel, images within what rounding twice and OpenCV's sub-pixel steps leave."""
    one, many = joint(name), separate(name)
    for seed in range(12):
        ours, theirs = run(one, seed, *scene), run(many, seed, *scene)
        np.testing.assert_array_equal(ours['gt_seg_map'], theirs['gt_seg_map'])
        assert psnr(ours['img'], theirs['img']) > 40
        assert ours['img'].dtype == np.uint8 and ours['img'].flags.c_contiguous
        assert ours['img_shape'] == theirs['img_shape'][:2] == ours['img'].shape[:2]


@every_protocol
def test_leaves_the_generator_where_the_separate_transforms_leave_it(name, scene):
    """What comes next in a pipeline draws the same numbers too."""
    after = []
    for transform in (joint(name), separate(name)):
        run(transform, 5, *scene)
        after.append(np.random.random_sample())
    assert after[0] == after[1]


def read_off(image: np.ndarray) -> tuple[float, float, float]:
    """Read scale, and top and left in source pixels, off a sampled image of coordinates."""
    inside = image[..., 2] == 1
    height, width = int(inside.any(1).sum()), int(inside.any(0).sum())
    rows, columns = image[height // 4 : 3 * height // 4, 0, 0], image[0, width // 4 : 3 * width // 4, 1]
    step_y, step_x = (float(np.polyfit(np.arange(len(line)), line, 1)[0]) for line in (rows, columns))
    top, left, _ = image[height // 2, width // 2]
    return 1 / np.sqrt(step_x * step_y), float(top), float(left)


@pytest.mark.parametrize('name', ['camvid', 'small crop', 'cityscapes'])
def test_scales_and_places_are_distributed_alike(name, coordinates):
    """From different seeds: the largest distance of the two empirical distributions (Kolmogorov and Smirnov)."""
    number = 150
    drawn = [
        np.array([read_off(run(transform, first + seed, *coordinates)['img']) for seed in range(number)])
        for transform, first in ((joint(name), 0), (separate(name), 10_000))
    ]
    critical = 1.63 * np.sqrt(2 / number)  # one in a hundred for equal distributions
    for ours, theirs in zip(*(table.T for table in drawn)):
        places = np.sort(np.concatenate([ours, theirs]))
        parts = [np.searchsorted(np.sort(values), places, side='right') / number for values in (ours, theirs)]
        assert np.abs(parts[0] - parts[1]).max() < critical
    lowest, highest = np.array(PROTOCOLS[name][1]) / (2 if name == 'cityscapes' else 1)
    assert drawn[0][:, 0].min() > 0.97 * lowest and drawn[0][:, 0].max() < 1.03 * highest


def test_samples_the_places_that_scaling_would(coordinates):
    """Half-pixel centres, by hand: pixel x of an image scaled by 2 lies at (x + 0.5) / 2 - 0.5."""
    warp = RandomScaleCropWarp((256, 192), (1.0, 1.0), (40, 60))
    image = warp.warp_image(coordinates[0], (192, 256), (11, 30))
    np.testing.assert_allclose(image[:, 0, 0], (np.arange(11, 51) + 0.5) / 2 - 0.5, atol=1 / 32)
    np.testing.assert_allclose(image[0, :, 1], (np.arange(30, 90) + 0.5) / 2 - 0.5, atol=1 / 32)


def test_single_samples_stay_close_and_are_left_where_they_would_alias(scene):
    one, many = joint('cityscapes', exact=False), separate('cityscapes')
    for seed in range(12):
        ours, theirs = run(one, seed, *scene), run(many, seed, *scene)
        assert psnr(ours['img'], theirs['img']) > (30 if ours['scale_factor'][0] >= 1 else 40)
        np.testing.assert_array_equal(ours['gt_seg_map'], theirs['gt_seg_map'])


@pytest.mark.parametrize('exact', [True, False])
def test_fills_beyond_the_picture(scene, exact):
    warp = RandomScaleCropWarp((128, 96), (0.5, 0.5), (96, 128), (48, 64), pad_val=PAD, exact=exact)
    results = run(warp, 0, *scene)
    assert (results['img'][24:] == PAD).all() and (results['img'][:, 32:] == PAD).all()
    assert (results['gt_seg_map'][24:] == 255).all() and (results['gt_seg_map'][:24, :32] != 255).all()


def test_stretches_without_keep_ratio(coordinates):
    warp = RandomScaleCropWarp((256, 96), (1.0, 1.0), (96, 256), keep_ratio=False)
    results = run(warp, 0, *coordinates)
    assert results['scale'] == (256, 96) and results['scale_factor'] == (2.0, 1.0)


@pytest.mark.parametrize('channels', [None, 1, 6])
def test_takes_pictures_of_any_channels(channels):
    shape = SIDES if channels is None else (*SIDES, channels)
    image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    warp = RandomScaleCropWarp((128, 96), (1.5, 1.5), (32, 40))
    results = warp(dict(img=image, seg_fields=[]))
    assert results['img'].shape == (32, 40) + shape[2:]


@pytest.mark.parametrize('settings, message', [
    (dict(scale=(0, 8)), r'scale: expected a whole number of at least 1, got \(0, 8\)'),
    (dict(crop_size=(8,)), r'crop_size: expected 2 values, .* got \(8,\)'),
    (dict(size=(8, -1)), r'size: expected a whole number of at least 1, got \(8, -1\)'),
    (dict(ratio_range=(2.0, 0.5)), r'ratio_range: expected two rising positive numbers, got \(2.0, 0.5\)'),
    (dict(cat_max_ratio=0.0), r'cat_max_ratio: expected a number above 0 and at most 1, got 0.0'),
])
def test_refuses_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        RandomScaleCropWarp(**{**dict(scale=(8, 8), ratio_range=(0.5, 2.0), crop_size=(8, 8)), **settings})


def test_crops_are_centred_on_the_focus_classes():
    """A pixel of the class lies within the middle half of every such crop, wherever the image allows it."""
    label = np.zeros((60, 80), np.uint8)
    label[40:42, 60:63] = 7
    warp = RandomScaleCropWarp(scale=(80, 60), ratio_range=(2, 2), crop_size=(40, 40), focus_classes=(5, 7),
                               focus_prob=1.0)
    for _ in range(20):
        out = warp(dict(img=np.zeros((60, 80, 3), np.uint8), gt_seg_map=label, seg_fields=['gt_seg_map']))
        rows, columns = np.nonzero(out['gt_seg_map'] == 7)
        assert len(rows) and rows.min() < 36 and rows.max() > 4 and columns.min() < 36 and columns.max() > 4


def test_focus_classes_alone_centre_half_of_the_crops():
    label = np.zeros((60, 80), np.uint8)
    label[40, 60] = 7
    settings = dict(scale=(80, 60), ratio_range=(1, 1), crop_size=(8, 8))
    sample = dict(img=np.zeros((60, 80, 3), np.uint8), gt_seg_map=label, seg_fields=['gt_seg_map'])
    np.random.seed(0)
    warps = [RandomScaleCropWarp(**settings, **focus) for focus in ({}, dict(focus_classes=(7,)))]
    plain, focused = ([(warp(dict(sample))['gt_seg_map'] == 7).any() for _ in range(200)] for warp in warps)
    assert sum(plain) < 20 and 80 < sum(focused) < 125


def test_without_a_focus_class_the_draw_is_the_plain_one():
    sample = dict(img=np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8),
                  gt_seg_map=np.zeros((60, 80), np.uint8), seg_fields=['gt_seg_map'])
    settings = dict(scale=(80, 60), ratio_range=(1, 2), crop_size=(40, 40))
    np.random.seed(3)
    wanted = RandomScaleCropWarp(**settings)(dict(sample))['img']
    for focus in (dict(focus_prob=0.9), dict(focus_classes=(0,), focus_prob=0.0)):
        np.random.seed(3)
        np.testing.assert_array_equal(RandomScaleCropWarp(**settings, **focus)(dict(sample))['img'], wanted)
    with pytest.raises(ValueError, match='focus_prob'):
        RandomScaleCropWarp(**settings, focus_prob=1.5)


@pytest.mark.parametrize('shape', [(10, 20), (20, 40, 3)])
def test_a_label_of_another_size_is_refused(shape):
    warp = RandomScaleCropWarp(scale=(40, 20), ratio_range=(1.0, 1.0), crop_size=(20, 40))
    results = dict(img=np.zeros((20, 40, 3), np.uint8), gt_seg_map=np.zeros(shape, np.uint8), seg_fields=['gt_seg_map'],
                   seg_map_path='a.png')
    with pytest.raises(ValueError, match=r'a.png: expected a label of \(20, 40\), .* got \(' + str(shape[0])):
        warp(results)
