"""A segmentation can be taken away in every form, and each form holds the mask; anything that is an image is taken."""

import io
import json
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

import bisenet_plugins
from bisenet_plugins.errors import InputError
from bisenet_plugins.runtime.segmentation import SUFFIXES, as_image
from tests.runtime.fakes import segmented


def found(scores=False, size=(40, 60), seed=0):
    """Blobs of classes 0 to 3 of nine, with holes in them."""
    noise = np.random.default_rng(seed).random((*size, 1)).astype(np.float32)
    mask = (cv2.GaussianBlur(noise, (0, 0), 3).argsort(axis=None).argsort() * 4 // noise.size).reshape(size)
    image = np.full((*size, 3), 90, np.uint8)
    return segmented(lambda images: [mask.astype(np.uint8)])([image], scores=scores)[0]


def decoded(size, counts):
    """Read COCO's runs: six bits a letter, the sixth says that more follow; every run differs from the one but last."""
    lengths, place = [], 0
    while place < len(counts):
        value = shift = 0
        while True:
            letter = ord(counts[place]) - 48
            value |= (letter & 31) << shift
            place, shift = place + 1, shift + 5
            if not letter & 32:
                value -= (1 << shift) if letter & 16 else 0
                break
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
    flat = np.repeat(np.arange(len(lengths)) % 2, lengths)
    return flat.reshape(size[::-1]).T


def test_coco_runs_hold_the_mask():
    one = found()
    for entry in one.to_coco_rle():
        binary = one.mask == entry['category_id']
        np.testing.assert_array_equal(decoded(**entry['segmentation']), binary)
        left, top, width, height = entry['bbox']
        assert entry['area'] == binary.sum() == binary[top:top + height, left:left + width].sum()
        assert binary[top].any() and binary[:, left].any() and binary[top + height - 1].any()


def test_polygons_hold_the_mask():
    one = found()
    again = np.full(one.mask.shape, 255, np.uint8)
    for region in one.to_polygons():
        area = np.zeros_like(again)
        cv2.fillPoly(area, [np.array(region['points'])], 1)
        for hole in region['holes']:  # its points are the region's own pixels around it
            inside, border = np.zeros_like(area), np.zeros_like(area)
            cv2.fillPoly(inside, [np.array(hole)], 1)
            cv2.polylines(border, [np.array(hole)], True, 1)
            area[(inside == 1) & (border == 0)] = 0
        again[area == 1] = region['id']
    np.testing.assert_array_equal(again, one.mask)


def test_outlines_of_noise_take_time_in_proportion_to_their_number():
    one = segmented(lambda images: [np.random.default_rng(0).integers(0, 4, (512, 1024)).astype(np.uint8)])(
        [np.zeros((512, 1024, 3), np.uint8)])[0]
    begin = time.process_time()
    assert len(one.to_polygons()) > 50_000
    assert time.process_time() - begin < 15  # 1 s; 40 s where every outline is compared with every other


def test_the_picture_is_the_one_that_was_segmented():
    frame = np.full((32, 48, 3), 7, np.uint8)
    one = segmented(lambda images: [np.zeros((32, 48), np.uint8)])([as_image(frame)])[0]
    frame[:] = 200  # a camera's next one
    assert (one.image == 7).all()


def test_small_regions_and_small_corners_are_left_out():
    one = found()
    one.mask[20, 30] = 8
    assert 8 in {region['id'] for region in one.to_polygons()}
    assert 8 not in {region['id'] for region in one.to_polygons(least=2)}
    corners = [sum(len(region['points']) for region in one.to_polygons(tolerance)) for tolerance in (0, 2)]
    assert corners[1] < corners[0] / 2


def test_json_names_what_is_there_by_size():
    one = found()
    read = json.loads(one.to_json())
    assert (read['height'], read['width']) == one.mask.shape
    assert [entry['pixels'] for entry in read['classes']] == [600] * 4
    assert sum(entry['share'] for entry in read['classes']) == pytest.approx(1)
    assert read['classes'][0]['name'] == 'class 0' and read['classes'][0]['polygons'][0]['points']
    assert list(one.shares) == [f'class {number}' for number in range(4)]


def test_json_outlines_regions_of_every_size():
    one = found()
    one.mask[20, 30], one.mask[30, 10:12] = 7, 8
    for text, wanted in ((one.to_json(), [1, 1]), (one.encode('json'), [1, 1]), (one.to_json(least=2), [1, 0])):
        counts = {entry['id']: len(entry['polygons']) for entry in json.loads(text)['classes']}
        assert [counts[8], counts[7]] == wanted


def test_an_overlay_names_its_classes_and_keeps_the_image():
    one = found()
    with_legend, plain = one.overlay(), one.overlay(legend=False)
    assert plain.shape == one.image.shape and with_legend.shape[0] > 40 + 4 * 11
    np.testing.assert_array_equal(with_legend[:40, :60], plain)
    assert one.overlay(all_classes=True).shape[0] > with_legend.shape[0]
    np.testing.assert_array_equal(one.overlay(legend=False, opacity=0), one.image)


@pytest.mark.parametrize('kind', SUFFIXES)
def test_every_kind_is_written(kind, tmp_path):
    one = found(scores=True)
    one.save(tmp_path / f'a{SUFFIXES[kind]}', kind)
    content = (tmp_path / f'a{SUFFIXES[kind]}').read_bytes()
    assert content == one.encode(kind)
    if kind in ('palette', 'ids'):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), one.mask)
    if kind == 'probabilities':
        read = np.load(io.BytesIO(content))
        assert list(read['classes']) == list(one.classes)
        np.testing.assert_array_equal(read['probabilities'].argmax(0), one.mask)


def test_probabilities_of_one_channel_are_those_of_the_class_alone():
    one = replace(found(), classes=('background', 'defect'), scores=np.full((1, 40, 60), 0.75, np.float32))
    read = np.load(io.BytesIO(one.encode('probabilities')))
    assert list(read['classes']) == ['defect'] and read['probabilities'].shape == (1, 40, 60)


def test_the_suffix_says_what_is_saved(tmp_path):
    one = found(scores=True)
    for name in ('a.png', 'a.json', 'a.npz'):
        one.save(tmp_path / name)
    assert cv2.imread(str(tmp_path / 'a.png')).shape == one.overlay().shape
    assert json.loads((tmp_path / 'a.json').read_text()) and 'probabilities' in np.load(tmp_path / 'a.npz')


def test_classes_of_one_name_are_one_share(monkeypatch):
    one = found()
    same = replace(one, classes=('a', 'b', 'a', *one.classes[3:]))
    first, second, third, fourth = (one.shares[f'class {number}'] for number in range(4))
    assert same.shares == pytest.approx({'a': first + third, 'b': second, 'class 3': fourth})
    assert sum(same.shares.values()) == pytest.approx(1) and next(iter(same.shares)) == 'a'
    drawn = []
    monkeypatch.setattr('bisenet_plugins.visualize.legend', lambda image, entries: drawn.extend(entries))
    same.overlay()
    assert [name for name, _ in drawn] == [f'{name} {100 * share:.1f} %' for name, share in (
        ('a', first), ('b', second), ('a', third), ('class 3', fourth))]


def test_what_cannot_be_written_is_refused():
    with pytest.raises(InputError, match='kind: expected one of overlay, palette, ids, json, probabilities, got'):
        found().encode('svg')
    with pytest.raises(InputError, match='scores: expected a segmentation with scores=True'):
        found().encode('probabilities')


@pytest.fixture(scope='module')
def photo(tmp_path_factory):
    """A file without loss, and its BGR pixels."""
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp('photo') / 'a.png'
    cv2.imwrite(str(path), pixels)
    return path, pixels


def test_anything_that_is_an_image_is_taken(photo):
    path, pixels = photo
    for given in (path, str(path), pixels, Image.open(path), Image.open(path).convert('RGBA')):
        np.testing.assert_array_equal(as_image(given), pixels)
    np.testing.assert_array_equal(as_image(pixels[..., ::-1], color='rgb'), pixels)
    for given, color in ((pixels, 'bgr'), (pixels[..., ::-1], 'rgb')):
        assert not np.shares_memory(as_image(given, color), pixels), 'the caller may fill his with the next frame'
    grey = Image.open(path).convert('L')
    for given in (grey, np.asarray(grey)):
        image = as_image(given)
        assert image.shape == (48, 64, 3) and (image == np.asarray(grey)[..., None]).all()
    assert as_image(np.zeros((48, 64, 4), np.uint8), color='rgb').shape == (48, 64, 4)  # left to the network


def test_sixteen_bits_are_read_as_from_a_file(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21)
    np.testing.assert_array_equal(as_image(Image.open(tmp_path / 'a.png')), as_image(tmp_path / 'a.png'))


def test_a_photograph_is_turned_upright(photo):
    image = Image.open(photo[0])
    image.getexif()[0x0112] = 6
    assert as_image(image).shape == (64, 48, 3)


@pytest.mark.parametrize('given, sentence', [
    ('https://a.b/c.png', "expected a file, a PIL image or an array, as nothing is downloaded here, got 'https://a.b/c.png'"),
    (np.zeros((3, 48, 64), np.uint8), r'expected axes \(H, W, C\), got \(3, 48, 64\); transpose\(1, 2, 0\) turns them'),
    ('none.png', 'none.png: '), ('a\0b', 'embedded null byte'),
    (Image.new('F', (4, 4)), "image: expected a PIL image of 8 or 16 bits, got 'mode F'"),
    (None, "expected a file, a PIL image or an array, got 'NoneType'"),
])
def test_what_is_no_image_is_refused(given, sentence):
    with pytest.raises(InputError, match=sentence):
        as_image(given)
    with pytest.raises(InputError, match="color: expected 'bgr' or 'rgb', got 'gbr'"):
        as_image(given, 'gbr')


@pytest.mark.parametrize('backend', ['torch', 'onnxruntime'])
def test_a_predictor_segments_them(photo, backend):
    pytest.importorskip('onnxruntime')
    predictor = bisenet_plugins.load_pretrained('bisenetv2-camvid', backend=backend)
    path, pixels = photo
    one = predictor.segment(path, scores=True)
    assert one.classes == predictor.classes and one.scores.shape == (11, 48, 64) and one.network_seconds > 0
    np.testing.assert_allclose(one.scores.sum(0), 1, atol=1e-5)
    assert (one.scores.argmax(0) == one.mask).mean() > 0.999  # where two classes tie up to rounding, either may win
    np.testing.assert_array_equal(predictor(pixels), one.mask)
    batch = predictor([pixels[..., ::-1], np.ascontiguousarray(pixels[..., ::-1])], color='rgb')
    np.testing.assert_array_equal(batch[0], one.mask)
    assert predictor.segment([pixels, pixels[:24]])[1].mask.shape == (24, 64)
