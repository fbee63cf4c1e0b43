"""SIGTERM ends a training after a checkpoint, from which it goes on as if nothing had been."""

import os
import signal
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from bisenet_plugins.engine.launch import load_config, prepare_training, run_training
from bisenet_plugins.engine.termination import TerminationHook, save_on_sigterm
from bisenet_plugins.errors import TerminatedError

OPTIONS = {'train_cfg.max_iters': 6, 'train_cfg.val_interval': 3, 'train_dataloader.num_workers': 0,
           'train_dataloader.persistent_workers': False, 'default_hooks.checkpoint.interval': 6}


@HOOKS.register_module(force=True)
class Tell(Hook):
    """Send SIGTERM at one place of the run."""

    place = ''

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.place == f'train {runner.iter}':
            os.kill(os.getpid(), signal.SIGTERM)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if self.place == f'val {runner.iter}':
            os.kill(os.getpid(), signal.SIGTERM)


def train(config, folder, place='', resume=False, epochs=False):
    Tell.place = place
    cfg = load_config(config, folder, OPTIONS)
    cfg.custom_hooks = [dict(type='Tell')]
    cfg.experiment_name = f'{folder.name} {resume}'  # runs of one second share what mmengine notes by name
    for drawing in ('curves', 'pictures'):
        del cfg.default_hooks[drawing]
    if epochs:
        cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)
        cfg.train_dataloader.sampler.type = 'DefaultSampler'
        cfg.train_dataloader.dataset.pipeline.pop(0)  # SeedSample, which needs a ResumableSampler
        cfg.default_hooks.checkpoint.update(by_epoch=True, interval=1)
        cfg.log_processor.by_epoch = True
    run_training(prepare_training(cfg, resume))
    return torch.load(folder / ('epoch_2.pth' if epochs else 'iter_6.pth'), weights_only=False)


def test_a_finished_training_says_that_nothing_is_left():
    told = []
    for done in (3, 4):
        TerminationHook().before_train(SimpleNamespace(iter=done, max_iters=4, logger=SimpleNamespace(
            warning=told.append)))
    assert told == ['nothing is left to train: the run is at iteration 4 of 4; a greater max_iters or max_epochs in '
                    'train_cfg goes on']


@pytest.fixture(scope='module')
def straight(trained, tmp_path_factory):
    return train(trained[0], tmp_path_factory.mktemp('straight'))


@pytest.fixture(scope='module')
def straight_epochs(trained, tmp_path_factory):
    return train(trained[0], tmp_path_factory.mktemp('epochs'), epochs=True)


@pytest.mark.parametrize(('place', 'step'), [('train 1', 2), ('val 3', 3)])
def test_a_terminated_training_resumes_with_equal_weights(trained, straight, tmp_path, place, step):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(TerminatedError, match=f'terminated after iteration {step}, saved as .*_{step}.pth') as ended:
        train(trained[0], tmp_path, place)
    assert ended.value.exit_code == 143 and signal.getsignal(signal.SIGTERM) is before
    resumed = train(trained[0], tmp_path, resume=True)
    for part in ('state_dict', 'optimizer'):
        torch.testing.assert_close(resumed[part], straight[part], rtol=0, atol=0)


@pytest.mark.parametrize(('place', 'step'), [('train 5', 6), ('val 4', 4)])
def test_a_loop_over_epochs_resumes_within_an_epoch(trained, straight_epochs, tmp_path, place, step):
    with pytest.raises(TerminatedError, match=f'terminated after iteration {step}, saved as .*iter_{step}.pth'):
        train(trained[0], tmp_path, place, epochs=True)
    resumed = train(trained[0], tmp_path, resume=True, epochs=True)
    assert resumed['meta']['iter'] == straight_epochs['meta']['iter'] == 8
    for part in ('state_dict', 'optimizer'):
        torch.testing.assert_close(resumed[part], straight_epochs[part], rtol=0, atol=0)


def test_a_second_signal_ends_the_process_at_once():
    hook = TerminationHook()
    before = signal.getsignal(signal.SIGTERM)
    hook.note()
    try:
        assert hook.asked and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_hears_no_signal(monkeypatch):
    monkeypatch.setattr('bisenet_plugins.engine.termination.threading.current_thread', lambda: None)
    with save_on_sigterm(None):
        pass
