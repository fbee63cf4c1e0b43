"""A training that is told to end saves what it has first."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import EpochBasedTrainLoop

from ..errors import BisenetError, TerminatedError
from .reproducible import seed_everything

__all__ = ['TerminationHook', 'save_on_sigterm']

DONE = 'batches_of_epoch'  # in the message hub, and so in a checkpoint: batches of a begun epoch that were used


class TerminationHook(Hook):
    """Save a checkpoint and end after the iteration in which the process was told to.

    :func:`save_on_sigterm` makes it. With several processes all of them end after the same iteration, as soon as one
    was told. With gradient accumulation the iteration is the one that updates the weights. A loop over epochs that is
    resumed within an epoch loads that epoch's used batches again and passes over them.

    Example:
        >>> TerminationHook().asked
        False
    """

    priority = 'LOWEST'
    asked = False

    def note(self, *_: Any) -> None:
        """Remember the signal; the next one ends the process at once."""
        self.asked = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def before_train(self, runner: Any) -> None:
        """Say where a finished training was resumed."""
        if runner.iter >= runner.max_iters:
            runner.logger.warning(f'nothing is left to train: the run is at iteration {runner.iter} of '
                                  f'{runner.max_iters}; a greater max_iters or max_epochs in train_cfg goes on')

    def before_train_epoch(self, runner: Any) -> None:
        """Let the loop pass over the batches that were used before the epoch was left."""
        done, loop = runner.message_hub.get_info(DONE, 0), runner.train_loop
        runner.message_hub.update_info(DONE, 0)
        vars(loop).pop('run_iter', None)
        if done:
            loop.run_iter = partial(_run_rest, runner, loop.run_iter, done)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Save and end if asked to."""
        asked = torch.tensor(float(self.asked))
        if get_world_size() > 1:
            all_reduce(asked, 'max')
        updated = (runner.iter + 1) % getattr(runner.optim_wrapper, '_accumulative_counts', 1) == 0
        if asked and (updated or runner.iter + 1 == runner.max_iters):
            epochs = isinstance(runner.train_loop, EpochBasedTrainLoop)
            self._end(runner, runner.iter + 1, batch_idx + 1 if epochs else 0)

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Save what was trained before this validation, and end, if asked to and alone."""
        if self.asked and get_world_size() == 1 and runner.iter:
            runner.train_loop._iter -= 1  # a checkpoint counts from within its iteration
            self._end(runner, runner.iter + 1)

    def _end(self, runner: Any, step: int, done: int = 0) -> None:
        runner.message_hub.update_info(DONE, done)
        hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
        for hook in hooks[:1]:
            if hook.by_epoch:  # its names and its count are of whole epochs
                hook.filename_tmpl, hook.max_keep_ckpts = 'iter_{}.pth', -1
            hook._save_checkpoint_with_step(runner, step, dict(epoch=runner.epoch, iter=step))
        saved = f'saved as {hooks[0].last_ckpt}; run the same command with --resume to go on' if hooks else 'not saved'
        raise TerminatedError(f'terminated after iteration {step}, {saved}')


def _run_rest(runner: Any, run_iter: Callable[[int, Any], None], done: int, batch_idx: int, data_batch: Any) -> None:
    """Run an iteration of an epoch, or pass over it, leaving the random numbers as it would have left them."""
    if batch_idx >= done:
        run_iter(batch_idx, data_batch)
    else:
        seed_everything(runner.seed, runner.iter - 1, runner.rank, cuda=True)


def change_loaders(runner: Any, change: Callable[[Any], None]) -> None:
    """Let every dataloader of a runner be changed when it is built, before its workers start.

    Args:
        runner: mmengine's runner.
        change: Gets the dataloader.
    """
    build = runner.build_dataloader

    def build_dataloader(*args: Any, **kwargs: Any) -> Any:
        loader = build(*args, **kwargs)
        change(loader)
        return loader

    runner.build_dataloader = build_dataloader


def _start_worker(start: Callable[[int], None] | None, number: int) -> None:
    """Start a data worker that ends when its parent says so, not when the whole process group is told to end."""
    def obey() -> None:
        while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
            pass
        os._exit(0)

    if start is not None:
        start(number)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    threading.Thread(target=obey, daemon=True).start()


def _let_workers_end(loader: Any) -> None:
    loader.worker_init_fn = partial(_start_worker, loader.worker_init_fn)


@contextmanager
def save_on_sigterm(runner: Any) -> Iterator[None]:
    """Let SIGTERM end the training of a runner after a checkpoint, inside the block.

    Args:
        runner: mmengine's runner.

    Raises:
        TerminatedError: Inside the block, after SIGTERM.
        ConnectionError: If another process of the training is gone.

    Note:
        Only the main thread hears signals; in another one this is a no-op.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    hook = TerminationHook()
    runner.register_hook(hook)
    change_loaders(runner, _let_workers_end)
    previous = signal.signal(signal.SIGTERM, hook.note)
    try:
        yield
    except RuntimeError as error:
        if get_world_size() == 1 or isinstance(error, BisenetError) or not (hook.asked or 'peer' in str(error)):
            raise
        raise ConnectionError('another process of this training is gone; run the same command with --resume to go on '
                              'from the last checkpoint') from error
    finally:
        signal.signal(signal.SIGTERM, previous)
