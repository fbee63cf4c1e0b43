"""Images come from the batch and the answer, not from files."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from bisenet_plugins.engine import PicturesHook, WritePredictionsHook
from bisenet_plugins.errors import InputError

PALETTE = [[10, 20, 30], [200, 100, 0]]


def sample(mask, truth=None, **meta):
    data = SegDataSample(metainfo=meta)
    data.pred_sem_seg = PixelData(data=torch.as_tensor(mask)[None])
    if truth is not None:
        data.gt_sem_seg = PixelData(data=torch.as_tensor(truth)[None])
    return data


def make_runner(folder, batches=3):
    dataset = SimpleNamespace(metainfo=dict(classes=('a', 'b'), palette=PALETTE))
    loader = [None] * batches
    loader = type('Loader', (list,), {'dataset': dataset})(loader)
    return SimpleNamespace(log_dir=str(folder), val_dataloader=loader, test_dataloader=loader, rank=0, world_size=1)


def batch(number, size=(6, 8)):
    image = torch.full((3, *size), 40 * number, dtype=torch.uint8)
    return {'inputs': [image, image + 1]}


def test_rows_are_image_truth_and_prediction(tmp_path):
    hook, runner = PicturesHook(num_pictures=2, cell_width=8), make_runner(tmp_path)
    zeros, ones = np.zeros((6, 8), np.int64), np.ones((6, 8), np.int64)
    hook.before_val_epoch(runner)
    for number in range(3):
        hook.after_val_iter(runner, number, batch(number), [sample(ones, np.full((6, 8), 255)), sample(zeros, zeros)])
    hook.after_val_epoch(runner, {})
    grid = cv2.imread(str(tmp_path / 'pictures.png'))
    assert grid.shape[0] > 26 + 2 * 10 + 2 * 11, 'first and last batch, one row each, and a legend of two entries'
    for top, number in ((26, 0), (36, 2)):
        assert (grid[top : top + 6, :8] == 40 * number).all()
        assert (grid[top : top + 6, 12:20] == 0).all(), 'ignored pixels are black'
        assert (grid[top : top + 6, 24:32] == PALETTE[1][::-1]).all()


def test_pictures_of_another_validation_replace_the_old_ones(tmp_path):
    hook, runner = PicturesHook(num_pictures=9, cell_width=8), make_runner(tmp_path, batches=1)
    for value in (0, 1):
        hook.before_val_epoch(runner)
        hook.after_val_iter(runner, 0, batch(1), [sample(np.full((6, 8), value))])
        hook.after_val_epoch(runner)
    grid = cv2.imread(str(tmp_path / 'pictures.png'))
    assert (grid[26:32, 24:32] == PALETTE[1][::-1]).all()
    assert (grid[26:32, 12:20] == 128).all(), 'a missing truth is grey'


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match='num_pictures: expected a whole number of at least 1, got 0'):
        PicturesHook(num_pictures=0)
    with pytest.raises(ValueError, match='wait_time: expected a number of at least 0, got -1'):
        WritePredictionsHook(wait_time=-1)


def test_each_prediction_is_written(tmp_path):
    hook = WritePredictionsHook(ids_dir=str(tmp_path / 'ids'), show_dir=str(tmp_path / 'show'))
    runner = make_runner(tmp_path)
    hook.before_test_epoch(runner)
    ones = np.ones((6, 8), np.int64)
    outputs = [sample(ones, ones, img_path='folder/a.png'), sample(ones, reduce_zero_label=True)]
    hook.after_test_iter(runner, 0, batch(1), outputs)
    assert sorted(path.name for path in (tmp_path / 'ids').iterdir()) == ['a.png', 'sample_00001.png']
    assert (np.asarray(Image.open(tmp_path / 'ids' / 'a.png')) == 1).all()
    assert (np.asarray(Image.open(tmp_path / 'ids' / 'sample_00001.png')) == 2).all()
    assert cv2.imread(str(tmp_path / 'show' / 'a.png')).shape == (26 + 10, 32, 3)


def test_images_of_equal_names_in_different_folders_are_kept_apart(tmp_path):
    hook, runner = WritePredictionsHook(ids_dir=str(tmp_path)), make_runner(tmp_path)
    runner.test_dataloader.dataset.data_prefix = dict(img_path='data/images')
    inside = [f'data/images/{name}.png' for name in ('seq0/0.1', 'seq1/0.1', 'b', '../c')]
    outputs = [sample(np.zeros((6, 8), np.int64), img_path=name) for name in (*inside, 'd.png')]
    hook.after_test_iter(runner, 0, {'inputs': [None] * 5}, outputs)
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.png')}
    assert written == {'seq0/0.1.png', 'seq1/0.1.png', 'b.png', 'c.png', 'd.png'}


@pytest.mark.parametrize(('prefixes', 'paths', 'names'), [
    (['d/a/img', 'd/b/img'], ['d/a/img/x/0.png', 'd/b/img/x/0.png'], ['a/img/x/0', 'b/img/x/0']),
    (['d/img', 'd/img'], ['d/img/x/0.png', 'd/img/y/0.png', 'd/img/x/0.png'], ['x/0', 'y/0']),
    ([None, 'd'], ['d/x/0.png', 'e/x/0.png', 'f/x/0.png'], ['x/0', '0', 'f/x/0']),
    ([None, ''], ['d/0.png', 'e/0.png', 'e/0.jpg', 'e/0.bmp'], ['0', 'e/0', '0.jpg', '0.bmp'])])
def test_images_of_joined_datasets_are_kept_apart(tmp_path, monkeypatch, prefixes, paths, names):
    monkeypatch.chdir('/')
    joined = [SimpleNamespace(data_prefix=prefix if prefix is None else dict(img_path=prefix)) for prefix in prefixes]
    hook, runner = WritePredictionsHook(ids_dir=str(tmp_path)), make_runner(tmp_path)
    runner.test_dataloader.dataset.dataset = SimpleNamespace(datasets=joined)  # as in a RepeatDataset
    outputs = [sample(np.zeros((6, 8), np.int64), img_path=path) for path in paths]
    hook.after_test_iter(runner, 0, {'inputs': [None] * len(paths)}, outputs)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.png')} == {f'{n}.png' for n in names}
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, {'inputs': [None] * len(paths)}, outputs)
    assert len([*tmp_path.rglob('*.png')]) == len(names)


@pytest.mark.parametrize('option', ['ids_dir', 'show_dir'])
@pytest.mark.parametrize('key', ['img_path', 'seg_map_path'])
@pytest.mark.parametrize('folder', ['data', 'link'])
def test_a_prediction_replaces_no_image_and_no_label(tmp_path, option, key, folder):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'link').symlink_to('data')
    (tmp_path / 'data/a.png').write_bytes(b'own')
    hook = WritePredictionsHook(**{option: str(tmp_path / folder)})
    output = sample(np.zeros((6, 8), np.int64), **dict(img_path='other/a.jpg') | {key: str(tmp_path / 'data/a.png')})
    with pytest.raises(InputError, match=rf"prediction: expected a file that is no image or label, got '.*{folder}/a"):
        hook.after_test_iter(make_runner(tmp_path), 0, {'inputs': batch(1)['inputs'][:1]}, [output])
    assert (tmp_path / 'data/a.png').read_bytes() == b'own' and len(list((tmp_path / 'data').iterdir())) == 1


@pytest.mark.parametrize(('classes', 'first', 'dtype'), [(300, 0, np.uint16), (256, 0, np.uint8), (256, 1, np.uint16)])
def test_ids_above_8_bits_are_written_and_drawn(tmp_path, classes, first, dtype):
    hook, runner = WritePredictionsHook(str(tmp_path / 'ids'), str(tmp_path / 'show')), make_runner(tmp_path)
    runner.test_dataloader.dataset.metainfo = dict(classes=[str(number) for number in range(classes)])
    mask = np.full((6, 8), classes - 1)
    truth = np.where(np.arange(8) < 4, mask, 65535)
    outputs = [sample(mask, truth, img_path='a.png'), sample(0 * mask, img_path='b.png')]
    for output in outputs:
        output.set_metainfo(dict(reduce_zero_label=bool(first)))
    hook.after_test_iter(runner, 0, batch(1), outputs)
    for name, value in (('a', classes - 1), ('b', 0)):
        found = cv2.imread(str(tmp_path / f'ids/{name}.png'), cv2.IMREAD_UNCHANGED)
        assert found.dtype == dtype and (found == value + first).all()
    shown, other = (cv2.imread(str(tmp_path / f'show/{name}.png'))[26:32] for name in 'ab')
    colour = shown[0, 24]
    assert (shown[:, 24:] == colour).all() and colour.any() and (colour != other[0, 24]).any()
    assert (shown[:, 12:16] == colour).all() and not shown[:, 16:20].any()


def test_variants_of_a_test_with_augmentation_show_the_first(tmp_path):
    hook = WritePredictionsHook(show_dir=str(tmp_path))
    plain = tuple(torch.full((3, 6, 8), value, dtype=torch.uint8) for value in (9, 8, 7))
    inputs = [plain, tuple(torch.zeros((3, 12, 16), dtype=torch.uint8) for _ in plain)]
    hook.after_test_iter(make_runner(tmp_path), 0, {'inputs': inputs}, [sample(np.zeros((6, 8), np.int64))] * 3)
    for number, value in enumerate((9, 8, 7)):
        assert (cv2.imread(str(tmp_path / f'sample_{number:05d}.png'))[26:32, :8] == value).all()


def test_a_window_is_opened_on_request(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(cv2, 'imshow', lambda title, image: shown.append(image.shape))
    monkeypatch.setattr(cv2, 'waitKey', shown.append)
    hook = WritePredictionsHook(show=True, wait_time=0.5)
    one = {'inputs': batch(1)['inputs'][:1]}
    hook.after_test_iter(make_runner(tmp_path), 0, one, [sample(np.zeros((6, 8), np.int64))])
    assert shown == [(26 + 10, 3 * 8 + 2 * 4, 3), 500]
    assert not list(tmp_path.iterdir())


def test_a_run_leaves_pictures(trained):
    grid = next(trained[1].glob('*/pictures.png'))
    height, width, _ = cv2.imread(str(grid)).shape
    assert height > 26 + 2 * (48 + 4) + 11 and width == 3 * 64 + 2 * 4  # the legend is below
