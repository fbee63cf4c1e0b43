"""A training that is told to end saves what it has first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import CheckpointHook, Hook

from ..errors import TerminatedError

__all__ = ['TerminationHook', 'save_on_sigterm']


class TerminationHook(Hook):
    """Save a checkpoint and end after the iteration in which the process was told to.

    :func:`save_on_sigterm` makes it. With several processes all of them end after the same iteration, as soon as one
    was told. With gradient accumulation the iteration is the one that updates the weights. A loop over epochs cannot
    resume within an epoch; it ends without saving.

    Example:
        >>> TerminationHook().asked
        False
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.asked = False

    def note(self, *_: Any) -> None:
        """Remember the signal; the next one ends the process at once."""
        self.asked = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Save and end if asked to."""
        asked = torch.tensor(float(self.asked))
        if get_world_size() > 1:
            all_reduce(asked, 'max')
        updated = (runner.iter + 1) % getattr(runner.optim_wrapper, '_accumulative_counts', 1) == 0
        if asked and (updated or runner.iter + 1 == runner.max_iters):
            self._end(runner, runner.iter + 1)

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Save what was trained before this validation, and end, if asked to and alone."""
        if self.asked and get_world_size() == 1 and runner.iter:
            runner.train_loop._iter -= 1  # a checkpoint counts from within its iteration
            self._end(runner, runner.iter + 1)

    def _end(self, runner: Any, step: int) -> None:
        hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook) and not hook.by_epoch]
        for hook in hooks[:1]:
            hook._save_checkpoint_with_step(runner, step, dict(epoch=runner.epoch, iter=step))
        saved = f'saved as {hooks[0].last_ckpt}; run the same command with --resume to go on' if hooks else 'not saved'
        raise TerminatedError(f'terminated after iteration {step}, {saved}')


@contextmanager
def save_on_sigterm(runner: Any) -> Iterator[None]:
    """Let SIGTERM end the training of a runner after a checkpoint, inside the block.

    Args:
        runner: mmengine's runner.

    Raises:
        TerminatedError: Inside the block, after SIGTERM.

    Note:
        Only the main thread hears signals; in another one this is a no-op.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hook = TerminationHook()
    runner.register_hook(hook)
    previous = signal.signal(signal.SIGTERM, hook.note)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
