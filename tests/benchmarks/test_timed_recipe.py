"""The recipe trains for the time that it is given, goes on where it was stopped, and leaves a network."""

import io
import json
import tarfile
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from benchmarks import timed_recipe
from bisenet_plugins.datasets.scenes.painter import paint_scene
from bisenet_plugins.engine.launch import prepare_training
from bisenet_plugins.errors import InputError
from bisenet_plugins.runtime import Predictor


@pytest.fixture(scope='module')
def camvid(tmp_path_factory):
    """Six drawn scenes under the names of CamVid's drives."""
    root = tmp_path_factory.mktemp('camvid')
    for number, (part, drive) in enumerate((part, drive) for part in ('train', 'val') for drive in timed_recipe.DRIVES):
        image, label = paint_scene((72, 96), 0, number)
        for folder, content in ((part, image), (f'{part}annot', label)):
            (root / folder).mkdir(exist_ok=True)
            assert cv2.imwrite(str(root / folder / f'{drive}_{number}.png'), content)
    return root


@pytest.fixture(scope='module')
def packed(camvid, tmp_path_factory):
    file = tmp_path_factory.mktemp('packed') / 'camvid.tar'
    assert timed_recipe.pack(camvid, file) == file.stat().st_size
    return file


def test_packed_images_are_close_and_labels_are_equal(camvid, packed, tmp_path):
    for _ in range(2):
        timed_recipe.unpack(packed, tmp_path)
    for file in camvid.rglob('*.png'):
        there = tmp_path / file.relative_to(camvid)
        if file.parent.name.endswith('annot'):
            assert there.read_bytes() == file.read_bytes()
        else:
            image, kept = cv2.imread(str(file)), cv2.imread(str(there.with_suffix('.jpg')))
            assert cv2.PSNR(image, kept) > 30 and not there.exists()


def test_what_is_no_camvid_is_refused(camvid, tmp_path):
    with pytest.raises(InputError, match='root: expected PNG files in its folder train'):
        timed_recipe.pack(tmp_path, tmp_path / 'out.tar')
    for folder in timed_recipe.FOLDERS:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'a.png').write_bytes(b'no image')
    with pytest.raises(InputError, match=r'root: expected images, got .*a\.png'):
        timed_recipe.pack(tmp_path, tmp_path / 'out.tar')
    assert not (tmp_path / 'out.tar').exists()


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path):
    with tarfile.open(tmp_path / 'bad.tar', 'w') as archive:
        archive.addfile(tarfile.TarInfo('../outside'), io.BytesIO())
    with pytest.raises(tarfile.TarError):
        timed_recipe.unpack(tmp_path / 'bad.tar', tmp_path / 'folder')
    assert not (tmp_path / 'outside').exists()


def test_the_rate_follows_the_clock_and_the_run_ends_with_it(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(timed_recipe.time, 'monotonic', lambda: now[0])
    group, info = dict(lr=0.1), {}
    runner = SimpleNamespace(iter=0, train_loop=SimpleNamespace(_max_iters=10**9),
                             optim_wrapper=SimpleNamespace(param_groups=[group]),
                             message_hub=SimpleNamespace(runtime_info=info, update_info=info.__setitem__))
    hook = timed_recipe.TimeBudgetHook(100.0, warmup=0.1, decay=0.5)
    hook.before_train(runner)
    seen = []
    while runner.iter < runner.train_loop._max_iters and runner.iter < 1000:
        hook.before_train_iter(runner, runner.iter)
        seen.append((group['lr'], runner.train_loop._max_iters))
        now[0] += 2.5
        runner.iter += 1
    # 40 iterations of 2.5 seconds, and the one that finds that the time is up
    assert runner.iter == runner.train_loop._max_iters == 41 and seen[20][1] == pytest.approx(41, abs=2)
    assert [seen[place][0] for place in (0, 2, 4, 20, 30, 40)] == pytest.approx([0, 0.05, 0.1, 0.1, 0.05, 0])
    resumed = timed_recipe.TimeBudgetHook(100.0)
    info['seconds_spent'], runner.iter = 60.0, 24
    resumed.before_train(runner)
    now[0] += 39.0
    resumed.before_train_iter(runner, 24)
    assert info['seconds_spent'] == 99.0 and runner.train_loop._max_iters == 26
    with pytest.raises(InputError, match='seconds: expected a positive number, got 0'):
        timed_recipe.TimeBudgetHook(0)


@pytest.mark.parametrize(('held_out', 'learned', 'scored'), [
    ('0001TP', ['0006R0', '0016E5'], ['0001TP']), (None, list(timed_recipe.DRIVES), ['0006R0'])])
def test_a_drive_is_held_out(held_out, learned, scored, tmp_path):
    cfg = timed_recipe.recipe_config(tmp_path / 'data', tmp_path, 60.0, held_out, batch=32)
    parts = cfg.train_dataloader.dataset.dataset.datasets
    assert [part.drives for part in parts] == [learned] * 2 and cfg.val_dataloader.dataset.drives == scored
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(1e-3)
    assert [loss.type for loss in cfg.model.decode_head.loss_decode] == ['OhemCrossEntropyLoss', 'LovaszLoss']
    assert cfg.model.backbone.semantic_branch.backbone.act_cfg.type == 'ReLU6'


def test_a_run_leaves_network_scores_and_log_and_goes_on(packed, tmp_path, monkeypatch):
    options = dict(batch=2, crop=(64, 64), workers=0, held_out='0006R0')
    prepared = []
    monkeypatch.setattr(timed_recipe, 'prepare_training', lambda cfg, **others: prepared.append(
        prepare_training(cfg, **others)) or prepared[-1])
    result = timed_recipe.train(packed, tmp_path, 0.02, **options)
    assert json.loads((tmp_path / 'scores.json').read_text('utf-8'))['miou'] == result['miou'] > 0
    assert result['drive'] == '0006R0' and not result['trained_on_it'] and result['iterations'] > 1
    assert b'mIoU' in (tmp_path / 'train.log').read_bytes()
    again = timed_recipe.train(packed, tmp_path, 0.03, **options)
    assert prepared[1].resume and again['iterations'] > result['iterations']
    network = Predictor(prepared[1], tmp_path / f'{timed_recipe.NAME}.safetensors', backend='torch')
    mask = network(np.zeros((72, 96, 3), np.uint8))
    assert mask.shape == (72, 96) and (tmp_path / f'{timed_recipe.NAME}.md').is_file()


def test_the_command_packs_and_says_the_size(camvid, tmp_path, capsys):
    timed_recipe.main(['--pack', str(camvid), '--data', str(tmp_path / 'a.tar')])
    assert f'a.tar: {(tmp_path / "a.tar").stat().st_size / 1e6:.1f} MB' in capsys.readouterr().out
