"""The demo shows the network of the package, trains, and judges the score."""

import cv2
import pytest
import torch

from bisenet_plugins.cli.demo import CONFIG, judge, show_pretrained
from bisenet_plugins.cli.options import find_config
from bisenet_plugins.datasets.scenes.painter import paint_scene

SMALL = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'train_dataloader.num_workers=0',
         'train_dataloader.persistent_workers=False']


def test_the_demo_trains_and_leaves_its_images_in_one_folder(bisenet, tiny_config, no_shipped_network, tmp_path):
    status, told, _ = bisenet('demo', tiny_config, '--cfg-options', *SMALL)
    assert status == 1 and '| Pedestrian |' in told and 'is below the 60 that the demo should reach' in told
    folder = tmp_path / 'work_dirs' / 'demo'
    assert (folder / 'pictures.png').is_file() and (folder / 'curves.png').is_file()


def test_labels_are_shuffled_for_the_control(bisenet, tiny_config, no_shipped_network):
    status, told, _ = bisenet('demo', tiny_config, '--shuffle-labels', '--cfg-options', *SMALL)
    assert status == 0 and 'with shuffled labels, mIoU' in told
    status, _, failure = bisenet('demo', tiny_config, '--shuffle-labels', '--cfg-options',
                                 'train_dataloader.dataset.type=A')
    assert status == 1
    assert failure.endswith('error: --shuffle-labels: expected a config on StreetSceneDataset, got A\n')


def test_the_network_of_the_package_is_shown_first(tmp_path, capsys):
    photo = tmp_path / 'photo.png'
    cv2.imwrite(str(photo), paint_scene((48, 64), 0, 0)[0])
    torch.set_num_threads(1)
    assert show_pretrained(tmp_path / 'out', str(photo)) == []
    assert 'the network in the package, segmented 2 of 2' in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / 'out' / 'overlay').iterdir()) == ['photo.jpg', 'scene.jpg']
    failed = show_pretrained(tmp_path / 'out', str(tmp_path / 'none.png'))
    assert len(failed) == 1 and 'none.png' in failed[0]


def test_nothing_is_shown_where_no_network_comes_with_the_package(no_shipped_network, tmp_path):
    assert show_pretrained(tmp_path / 'nothing') == [] and not (tmp_path / 'nothing').exists()


@pytest.mark.parametrize('miou, shuffled, status', [(60, False, 0), (59.9, False, 1), (60, True, 1), (59.9, True, 0)])
def test_the_score_decides_the_exit_status(miou, shuffled, status):
    assert judge(miou, shuffled) == status


def test_the_demo_has_a_config():
    assert find_config(CONFIG).is_file()
