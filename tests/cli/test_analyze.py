"""The analyze command writes a page for any network."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from bisenet_plugins.datasets.scenes.painter import paint_scene
from bisenet_plugins.runtime import Predictor


@pytest.fixture(autouse=True)
def one_thread():
    """The network is so small that a second thread only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny(tmp_path):
    """Config and weights of a V2 of an eighth of the width, and two drawn scenes with their labels."""
    predictor = Predictor(Config(dict(
        default_scope='mmseg',
        model=dict(
            type='BilateralSegmentor', num_classes=11, norm_cfg=dict(type='BN'),
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True),
            backbone=dict(type='BilateralNetwork', detail_branch=dict(type='DetailBranch', width_mult=0.125),
                          semantic_branch=dict(type='SemanticBranch', width_mult=0.25)),
            decode_head=dict(type='BGAHead', channels=16)))), backend='torch')
    predictor.cfg.dump(str(tmp_path / 'tiny.py'))
    torch.save(predictor.model.state_dict(), tmp_path / 'tiny.pth')
    for number in range(2):
        for kind, array in zip(('images', 'labels'), paint_scene((48, 64), 0, number)):
            (tmp_path / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / kind / f'{number}.png'), np.asarray(array).astype(np.uint8))
    return '--config', 'tiny.py', '--checkpoint', 'tiny.pth'


def test_a_page_for_config_and_checkpoint(bisenet, tiny):
    options = ['--labels', 'labels', '--out', 'page.html', '--show', '1']
    status, told, _ = bisenet('analyze', 'images', *tiny, *options)
    assert status == 0 and 'on 2 images' in told and 'page: page.html' in told
    page = Path('page.html').read_text(encoding='utf-8')
    assert '</html>' in page and 'tiny.py with tiny.pth' in page


def test_what_cannot_be_used_is_left_out_and_counted(bisenet, tiny):
    for name, image in (('thin', np.zeros((3, 5000, 3))), ('unlabelled', np.zeros((48, 64, 3)))):
        cv2.imwrite(f'images/{name}.png', image)
    cv2.imwrite('labels/thin.png', np.zeros((3, 5000)))
    Path('images/cut.png').write_bytes(Path('images/0.png').read_bytes()[:90])
    Path('images/clip.gif').write_bytes(b'GIF89a')
    cv2.imwrite('images/ids.png', np.zeros((48, 64, 3)))
    cv2.imwrite('labels/ids.png', np.full((48, 64), 77))
    status, told, failure = bisenet('analyze', 'images', *tiny, '--labels', 'labels')
    assert status == 1 and 'on 3 images, 4 failed' in told and 'page: ' in told and Path('analysis.html').exists()
    lines = failure.splitlines()
    assert len(lines) == 4 and all(line.startswith('failed: ') for line in lines)
    assert all(any(name in line for line in lines) for name in ('cut.png', 'clip.gif', 'ids.png', 'unlabelled.png'))


def test_labels_without_a_class_are_told_so(bisenet, tiny):
    for number in range(2):
        cv2.imwrite(f'labels/{number}.png', np.full((48, 64), 255))
    status, told, _ = bisenet('analyze', 'images', *tiny, '--labels', 'labels')
    assert status == 0 and '2 images, 0 failed; no mIoU, because no label has a pixel of a class\n' in told
    assert 'none with a pixel of a class' in Path('analysis.html').read_text(encoding='utf-8')


@pytest.mark.parametrize('out', ['images/0.png', 'labels/1.png', 'link/0.png'])
def test_a_page_replaces_no_image_and_no_label(bisenet, tiny, out):
    Path('link').symlink_to('images')
    before = Path(out).read_bytes()
    status, _, failure = bisenet('analyze', 'images', *tiny, '--labels', 'labels', '--out', out)
    assert status == 1 and f"--out: expected a file that is none of the images and labels, got '{out}'" in failure
    assert Path(out).read_bytes() == before


def test_two_images_of_one_label_are_named(bisenet, tiny):
    Path('other').mkdir()
    Path('other/0.png').write_bytes(Path('images/1.png').read_bytes())
    status, told, failure = bisenet('analyze', 'images', 'other', *tiny, '--labels', 'labels', '--out', 'labels/a.html')
    assert status == 1 and not told and not Path('labels/a.html').exists()
    assert "labels/0.png: expected the label of one image, got 'images/0.png and other/0.png'" in failure


def test_an_image_that_is_not_there_is_one_sentence(bisenet, tiny):
    status, told, failure = bisenet('analyze', 'none.png', *tiny)
    assert status == 1 and 'none.png' in failure and failure.startswith('error: ') and len(failure.splitlines()) == 1
    assert not Path('analysis.html').exists()


@pytest.mark.parametrize('option', ['--model', '--precision'])
def test_what_only_a_graph_could_do_is_no_option(bisenet, option):
    status, _, failure = bisenet('analyze', 'a.png', option, 'int8')
    assert status == 2 and f'unrecognized arguments: {option} int8' in failure
