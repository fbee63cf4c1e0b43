"""A training that diverges stops with a sentence, and keeps its good checkpoints."""

import pytest
import torch

from bisenet_plugins.cli.main import run_command
from bisenet_plugins.engine import FiniteTrainingHook
from bisenet_plugins.engine.launch import load_config, prepare_training, run_training
from bisenet_plugins.errors import DivergedError

QUICK = {'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False, 'train_cfg.val_interval': 100}


def test_a_diverging_training_ends_with_status_3(tiny_config, tmp_path, capsys):
    options = [f'{name}={value}' for name, value in {**QUICK, 'optim_wrapper.optimizer.lr': '1e30'}.items()]
    status = run_command('train', [str(tiny_config), '--work-dir', str(tmp_path / 'run'), '--cfg-options', *options])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert status == 3
    assert 'the training diverged at iteration' in said and 'with a learning rate of 9.18e+29: the loss is' in said
    assert not list((tmp_path / 'run').glob('*.pth')), 'a checkpoint with NaN was saved'


def test_no_checkpoint_holds_a_weight_that_is_not_finite(tiny_config, tmp_path, monkeypatch):
    """The loss is fine, the update is not: the good checkpoints stay, the last of them is named."""
    cfg = prepare_training(load_config(tiny_config, tmp_path, {**QUICK, 'default_hooks.checkpoint.max_keep_ckpts': 1}))
    step = torch.optim.SGD.step
    done = []

    def poisoned(self, *args, **kwargs):
        step(self, *args, **kwargs)
        done.append(1)
        if len(done) == 4:
            self.param_groups[0]['params'][0].data[0] = float('inf')

    monkeypatch.setattr(torch.optim.SGD, 'step', poisoned)
    with pytest.raises(DivergedError, match='at iteration 4 .*is not finite; the last good checkpoint is .*iter_2.pth'):
        run_training(cfg)
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_2.pth']


def test_the_interval_is_checked():
    with pytest.raises(ValueError, match='interval: expected at least 1, got 0'):
        FiniteTrainingHook(interval=0)
