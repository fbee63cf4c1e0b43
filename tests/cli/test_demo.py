"""The demo shows the network of the package, trains, and judges the score."""

import cv2
import pytest
import torch

from bisenet_plugins.cli.demo import CONFIG, DRAWN, SHORT, judge, show_pretrained
from bisenet_plugins.cli.options import find_config
from bisenet_plugins.datasets.scenes.painter import paint_scene
from bisenet_plugins.engine.launch import load_config
from bisenet_plugins.errors import InputError
from bisenet_plugins.weights import pretrained_names

SMALL = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'train_dataloader.num_workers=0',
         'train_dataloader.persistent_workers=False']


def test_the_demo_trains_and_leaves_its_images_in_one_folder(bisenet, tiny_config, no_shipped_network, tmp_path):
    status, told, _ = bisenet('demo', tiny_config, '--cfg-options', *SMALL)
    assert status == 1 and '| Pedestrian |' in told and 'is below the 50 that the demo should reach' in told
    folder = tmp_path / 'work_dirs' / 'demo'
    assert (folder / 'pictures.png').is_file() and (folder / 'curves.png').is_file()
    assert 'iteration 2 of 2, mIoU' in told and 'bisenet config NAME' in told
    assert len(told.splitlines()) < 40 and 'INFO' not in told  # all that mmengine says is in its log
    (log, ) = folder.glob('2*/*.log')
    assert 'INFO - Iter(train)' in log.read_text()


def test_the_network_of_the_package_is_shown_first(tmp_path, capsys):
    photo = tmp_path / 'photo.png'
    cv2.imwrite(str(photo), paint_scene((48, 64), 0, 0)[0])
    torch.set_num_threads(1)
    show_pretrained(tmp_path / 'out', str(photo))
    told = capsys.readouterr().out
    assert f'scene.png segmented by {DRAWN} in ' in told and 'Road ' in told
    assert f'photo.png segmented by {pretrained_names()[0]} in ' in told
    for name in ('scene', 'photo'):
        assert (path := tmp_path / 'out' / f'{name}_segmented.jpg').is_file() and str(path) in told
    assert cv2.imread(str(tmp_path / 'out' / 'scene_segmented.jpg')).shape[0] > 360  # its legend
    with pytest.raises(InputError, match='none.png'):
        show_pretrained(tmp_path / 'out', str(tmp_path / 'none.png'))


def test_nothing_is_shown_where_no_network_comes_with_the_package(no_shipped_network, tmp_path):
    show_pretrained(tmp_path / 'nothing')
    assert not (tmp_path / 'nothing').exists()


@pytest.mark.parametrize('miou, status', [(50, 0), (49.9, 1)])
def test_the_score_decides_the_exit_status(miou, status):
    assert judge(miou) == status


def test_the_demo_has_a_config_that_its_options_fit():
    cfg = load_config(find_config(CONFIG), cfg_options=SHORT)
    assert cfg.param_scheduler[1].type == 'PolyLR' and cfg.param_scheduler[1].end == cfg.train_cfg.max_iters
