"""The converter of CamVid, from both of its forms, with every kind of bad file."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bisenet_plugins.datasets.camvid import CamVidDataset
from tools.dataset_converters.camvid import (
    COLOURS,
    BadFile,
    ids_from_colours,
    ids_from_ids,
    prepare_camvid,
    read_splits,
    split_of,
)

TOOL = Path(__file__).parents[3] / 'tools/dataset_converters/camvid.py'
ORIGINALS = ('0001TP_006690', '0001TP_008550', '0016E5_07961', 'Seq05VD_f00030')


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


def image_of(height=6, width=8):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.fixture
def segnet(tmp_path):
    for split, names in (('train', 'ab'), ('val', 'c')):
        for name in names:
            save(tmp_path / f'in/{split}/{name}.png', image_of())
            save(tmp_path / f'in/{split}annot/{name}.png', np.arange(48, dtype=np.uint8).reshape(6, 8) % 12)
    return tmp_path / 'in'


@pytest.fixture
def originals(tmp_path):
    source = tmp_path / 'in'
    for stem in ORIGINALS:
        save(source / f'701_StillsRaw_full/{stem}.png', image_of())
        colours = np.array([rgb for _, rgb, _ in COLOURS], np.uint8).reshape(4, 8, 3)
        save(source / f'LabeledApproved_full/{stem}_L.png', np.concatenate((colours, colours[:2]))[..., ::-1])
    return source


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_colour_table_is_whole():
    assert len(COLOURS) == len({name for name, _, _ in COLOURS}) == len({rgb for _, rgb, _ in COLOURS}) == 32
    assert {target for _, _, target in COLOURS} == {*CamVidDataset.METAINFO['classes'], None}


def test_main_colours_are_those_of_their_class():
    """Ten classes carry the colour of CamVid's palette; the palette in use paints pavement in a blue of its own."""
    palette = dict(zip(CamVidDataset.METAINFO['classes'], map(tuple, CamVidDataset.METAINFO['palette'])))
    by_colour = {rgb: target for _, rgb, target in COLOURS}
    for name, rgb in palette.items():
        if name != 'Pavement':
            assert by_colour[rgb] == name


def test_segnet_layout(segnet, tmp_path):
    report = prepare_camvid(segnet, tmp_path / 'out')
    assert dict(report.written) == {'train': 2, 'val': 1} and not report.problems
    before, after = read(segnet / 'trainannot/a.png'), read(tmp_path / 'out/trainannot/a.png')
    np.testing.assert_array_equal(after, np.where(before == 11, 255, before))
    assert (tmp_path / 'out/train/a.png').read_bytes() == (segnet / 'train/a.png').read_bytes()


def test_dataset_class_reads_what_was_written(segnet, tmp_path):
    prepare_camvid(segnet, tmp_path / 'out')
    dataset = CamVidDataset(
        data_root=str(tmp_path / 'out'), data_prefix=dict(img_path='train', seg_map_path='trainannot'))
    assert len(dataset) == 2


def test_second_run_changes_nothing(segnet, tmp_path):
    out = tmp_path / 'out'
    prepare_camvid(segnet, out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob('*.png')}
    (out / 'train/b.png').unlink()
    report = prepare_camvid(segnet, out)
    assert dict(report.written) == {'train': 1} and dict(report.present) == {'train': 1, 'val': 1}
    for path, time in times.items():
        assert path.stat().st_mtime_ns == time or path.stem == 'b'


def test_originals_by_the_rule_of_the_sequences(originals, tmp_path):
    report = prepare_camvid(originals, tmp_path / 'out')
    assert dict(report.written) == {'train': 1, 'val': 1, 'test': 2} and not report.problems
    label = read(tmp_path / 'out/trainannot/0001TP_006690.png')
    names = [*CamVidDataset.METAINFO['classes']]
    expected = [255 if target is None else names.index(target) for _, _, target in COLOURS]
    assert label.reshape(-1)[:32].tolist() == expected


def test_originals_by_lists(originals, tmp_path):
    (originals / 'train.txt').write_text('0001TP_008550\n/some/where/0016E5_07961.png /some/where/label.png\n\n')
    (originals / 'val.txt').write_text('Seq05VD_f00030_L.png\n0001TP_000000\n')
    report = prepare_camvid(originals, tmp_path / 'out')
    assert dict(report.written) == {'train': 2, 'val': 1}
    assert len(report.problems) == 1 and 'is listed in val.txt' in report.problems[0]


@pytest.mark.parametrize('stem, split', [
    ('0001TP_008520', 'train'), ('0001TP_008550', 'test'), ('0006R0_f00930', 'train'), ('0016E5_07920', 'train'),
    ('0016E5_07959', 'val'), ('0016E5_08159', 'val'), ('0016E5_08190', 'train'), ('Seq05VD_f00000', 'test'),
])
def test_split_of(stem, split):
    assert split_of(stem) == split


def test_split_of_a_foreign_name():
    with pytest.raises(ValueError, match="stem: expected a frame of .*, got 'holiday_01'"):
        split_of('holiday_01')


def test_frame_in_two_lists(tmp_path):
    (tmp_path / 'train.txt').write_text('x\n')
    (tmp_path / 'val.txt').write_text('x\n')
    with pytest.raises(ValueError, match="frame x: expected one split, train, got 'val'"):
        read_splits(tmp_path)


def break_segnet(segnet, how):
    label, image = segnet / 'trainannot/a.png', segnet / 'train/a.png'
    if how == 'no label':
        label.unlink()
    elif how == 'no image':
        image.unlink()
    elif how == 'bad image':
        image.write_bytes(image.read_bytes()[:20])
    elif how == 'empty image':
        image.write_bytes(b'')
    elif how == 'bad label':
        label.write_bytes(b'not an image')
    elif how == 'size':
        save(label, np.zeros((6, 7), np.uint8))
    elif how == 'ids':
        save(label, np.full((6, 8), 12, np.uint8))
    else:
        save(label, image_of())


@pytest.mark.parametrize('how, message', [
    ('no label', 'a.png: label: expected one of the same name'),
    ('no image', 'a.png: image: expected one of the same name'),
    ('bad image', 'a.png: image: expected a file that can be decoded'),
    ('empty image', 'a.png: image: expected a file that can be decoded'),
    ('bad label', 'a.png: label: expected a file that can be decoded'),
    ('size', 'label: expected the size of the image (6, 8), got (6, 7)'),
    ('ids', 'label: expected ids 0 to 11 or 255, got [12]'),
    ('channels', 'label: expected one id per pixel, got 3 channels'),
])
def test_bad_file_is_left_out_and_named(segnet, tmp_path, how, message):
    break_segnet(segnet, how)
    report = prepare_camvid(segnet, tmp_path / 'out')
    assert dict(report.written) == {'train': 1, 'val': 1}
    assert len(report.problems) == 1
    assert message in report.problems[0]
    assert not (tmp_path / 'out/train/a.png').exists() and '1 file(s) left out' in report.to_text()


def test_foreign_name_among_the_originals(originals, tmp_path):
    save(originals / '701_StillsRaw_full/cat.png', image_of())
    save(originals / 'LabeledApproved_full/dog_L.png', image_of())
    report = prepare_camvid(originals, tmp_path / 'out')
    assert len(report.problems) == 2 and report.written.total() == 4


def test_unknown_colour():
    label = np.array([[[128, 0, 0], [1, 2, 3]]], np.uint8)
    with pytest.raises(BadFile, match=r'got others in 1 pixels, such as \(1, 2, 3\)'):
        ids_from_colours(label)
    assert ids_from_colours(label, unknown_as_void=True).tolist() == [[1, 255]]


@pytest.mark.parametrize('label, message', [
    (np.zeros((2, 2, 3), np.uint8), 'got 3 channels'), (np.full((2, 2), 77, np.uint8), r'got \[77\]')])
def test_ids_from_ids_refuses(label, message):
    with pytest.raises(BadFile, match=message):
        ids_from_ids(label)


def test_wrong_arguments(segnet, originals, tmp_path):
    with pytest.raises(ValueError, match='source: expected a folder with train and trainannot'):
        prepare_camvid(tmp_path / 'nowhere', tmp_path / 'out')
    with pytest.raises(ValueError, match='out: expected a folder other than source'):
        prepare_camvid(segnet, segnet)
    with pytest.raises(ValueError, match='splits: expected a folder with train.txt'):
        prepare_camvid(originals, tmp_path / 'out', splits=tmp_path)


@pytest.mark.parametrize('bad, status', [(True, 1), (False, 0)])
def test_tool_exit_status(segnet, tmp_path, monkeypatch, capsys, bad, status):
    if bad:
        (segnet / 'trainannot/a.png').unlink()
    monkeypatch.setattr(sys, 'argv', [str(TOOL), str(segnet), '--out', str(tmp_path / 'out')])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert stop.value.code == status
    said = ''.join(capsys.readouterr())
    assert f'train: {2 - status} written' in said and ('a.png: label: expected one' in said) == bad
