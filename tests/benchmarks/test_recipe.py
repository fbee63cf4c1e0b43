"""The recipe's rows build networks, runs are not repeated, and the plot has every network."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import EMAHook, IterTimerHook
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from benchmarks import recipe
from bisenet_plugins.models.cost import build_uncounted


@pytest.mark.parametrize('row', [*recipe.ROWS, *recipe.NETWORKS])
def test_row_builds_for_camvid_without_downloads(row, tmp_path):
    cfg = recipe.row_config(row, 3, 40, (96, 128), tmp_path)
    assert cfg.randomness.seed == 3 and cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == 40
    drives = {drive for part in cfg.train_dataloader.dataset.dataset.datasets for drive in part.drives}
    assert drives == {'0001TP', '0016E5'} and cfg.val_dataloader.dataset.drives == ['0006R0']
    assert 'http' not in str(cfg.model)
    assert build_uncounted(cfg).decode_head.num_classes == 11


@pytest.mark.parametrize(('row', 'key', 'expected'), [
    ('no-paste', 'train_dataloader.dataset.pipeline.0.prob', 0.0),
    ('no-focus', 'train_dataloader.dataset.pipeline.1.focus_prob', 0.0),
    ('small-scales', 'train_dataloader.dataset.pipeline.1.ratio_range', (0.5, 2.0)),
    ('no-ohem', 'model.decode_head.loss_decode.type', 'CrossEntropyLoss'),
    ('no-ema', 'custom_hooks', []),
])
def test_row_changes_what_it_says(row, key, expected, tmp_path):
    def value(cfg):
        for part in key.split('.'):
            cfg = cfg[int(part)] if part.isdigit() else cfg.get(part)
        return cfg

    assert value(recipe.row_config(row, 0, 10, (96, 128), tmp_path)) == expected
    assert value(recipe.row_config('recipe', 0, 10, (96, 128), tmp_path)) != expected


def test_a_network_learns_its_teachers_scores(tmp_path):
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 64, 96, dtype=torch.int64)))
    cfg = recipe.row_config('distilled', 0, 10, (96, 128), tmp_path / 'distilled-0')
    cfg.model.backbone.semantic_branch.backbone.init_cfg = None
    teacher = MODELS.build(cfg.model.teacher)
    torch.save(teacher.state_dict(), cfg.model.weights)
    network = MODELS.build(cfg.model)
    losses = network.loss(torch.randn(2, 3, 64, 96), [sample] * 2)
    losses['distill.loss_kl'].backward()
    assert losses['distill.loss_kl'] > 0 and network.decode_head.conv_seg.weight.grad.abs().sum() > 0
    assert not [name for name in network.state_dict() if 'teacher' in name]
    same = MODELS.build(dict(cfg.model, backbone=cfg.model.teacher.backbone))
    same.load_state_dict(teacher.state_dict())
    losses = same.eval().loss(torch.randn(2, 3, 64, 96), [sample] * 2)
    assert losses['distill.loss_kl'].item() == pytest.approx(0, abs=1e-6)


def test_runs_are_kept_and_not_repeated(tmp_path, monkeypatch):
    ran = []

    def run_training(cfg):
        ran.append(cfg.experiment_name)
        averaged = [EMAHook(), IterTimerHook()]
        runner = SimpleNamespace(_hooks=averaged, message_hub=SimpleNamespace(
            get_scalar=lambda key: SimpleNamespace(current=lambda: 30.0 + len(ran))))
        runner.val_loop = SimpleNamespace(
            run=lambda: dict(mIoU=40.0 + len(ran) if runner._hooks == averaged[1:] else 0))
        return runner

    monkeypatch.setattr(recipe, 'prepare_training', lambda cfg: cfg)
    monkeypatch.setattr(recipe, 'run_training', run_training)
    out = tmp_path / 'recipe.json'
    recipe.run(['recipe'], [0], 20, (96, 128), out, tmp_path / 'runs')
    result = recipe.run(['recipe', 'no-ema'], [0, 1], 20, (96, 128), out, tmp_path / 'runs')
    # the last weights of a run with an average are those of a run without one
    assert ran == ['recipe-recipe-0', 'recipe-no-ema-0', 'recipe-recipe-1']
    assert json.loads(out.read_text())['miou'] == result['miou'] == {
        'recipe': {'0': 31.0, '1': 33.0}, 'no-ema': {'0': 32.0, '1': 43.0}}
    assert recipe.table(result, recipe.ROWS)[-1] == (
        '| no-ema | the last weights, not their average | 37.50 | +5.50 | 32.00 43.00 |')
    with pytest.raises(ValueError, match='expected a new file or one of the same settings'):
        recipe.run(['recipe'], [0], 30, (96, 128), out, tmp_path / 'runs')


def test_the_best_checkpoints_are_averaged(tmp_path, monkeypatch):
    """Of eight, those with the best scores: the second, the fourth and the last."""
    model = torch.nn.Linear(1, 1)

    def run_training(cfg):
        for number in range(8):
            state = {name: torch.full_like(value, number) for name, value in model.state_dict().items()}
            torch.save(dict(state_dict=state), tmp_path / 'runs' / 'averaged-0' / f'iter_{10 * (number + 1)}.pth')
        scores = SimpleNamespace(current=lambda: 5.0, data=(np.array([1, 8, 2, 9, 3, 4, 5, 7]), np.ones(8)))
        return SimpleNamespace(message_hub=SimpleNamespace(get_scalar=lambda key: scores), model=model,
                               val_loop=SimpleNamespace(run=lambda: dict(mIoU=model.weight.item())))

    def prepare(cfg):
        assert cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == 10 and not cfg.custom_hooks
        (tmp_path / 'runs' / 'averaged-0').mkdir(parents=True)

    monkeypatch.setattr(recipe, 'prepare_training', prepare)
    monkeypatch.setattr(recipe, 'run_training', run_training)
    result = recipe.run(['averaged'], [0], 80, (96, 128), tmp_path / 'recipe.json', tmp_path / 'runs')
    assert result['miou']['averaged']['0'] == pytest.approx((1 + 3 + 7) / 3)


def test_plot_names_every_network(tmp_path, monkeypatch):
    texts = []
    monkeypatch.setattr(recipe, 'figure_bytes', lambda figure: texts.extend(
        text.get_text() for text in figure.axes[0].texts) or b'png')
    cost = {name: dict(median=10.0, gmacs=1.5) for name in (*recipe.NETWORKS, *recipe.OURS)}
    miou = {name: {'0': 40.0, '1': 42.0} for name in (*recipe.NETWORKS, *recipe.OURS.values())}
    recipe.plot(dict(cost=cost, miou=miou), tmp_path / 'recipe.png')
    assert len(texts) == 7 and 'PIDNet-S (mmseg), 1.5 GMACs' in texts
    assert (tmp_path / 'recipe.png').is_file()
