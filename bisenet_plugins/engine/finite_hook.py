"""Stop a training that diverges, before it saves weights that are of no use."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from ..errors import DivergedError, expect
from ..weights.checkpoint import find_resumable, first_non_finite

__all__ = ['FiniteTrainingHook']


@HOOKS.register_module()
class FiniteTrainingHook(Hook):
    """End the training where the loss or a weight is not a finite number.

    One of the ``default_hooks``. No checkpoint with such a weight is written, and no good one is rotated away.

    Args:
        interval: Iterations between two checks of the loss; on a GPU each check waits for the step to end. Weights are
            checked whenever a checkpoint is saved.

    Raises:
        InputError: If ``interval`` is below one.

    Example:
        >>> FiniteTrainingHook().every_n_inner_iters(0, 1)
        True
    """

    def __init__(self, interval: int = 1) -> None:
        expect(interval >= 1, 'interval', 'at least 1', interval)
        self.interval = interval

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Check the loss."""
        loss = (outputs or {}).get('loss')
        if loss is not None and self.every_n_train_iters(runner, self.interval) and not torch.isfinite(loss).all():
            raise self._error(runner, f'the loss is {float(loss.detach()):g}')

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Check the weights that are about to be saved."""
        if (name := first_non_finite(checkpoint.get('state_dict') or {})) is not None:
            raise self._error(runner, f'the weight {name} is not finite')

    def _error(self, runner: Any, what: str) -> DivergedError:
        rates = [rate for rates in runner.optim_wrapper.get_lr().values() for rate in rates[:1]]
        last = find_resumable(runner.work_dir)
        return DivergedError(f'the training diverged at iteration {runner.iter + 1} with a learning rate of '
                             f'{rates[0]:.3g}: {what}; the last good checkpoint is {last or "none, as none was saved"};'
                             ' lower optim_wrapper.optimizer.lr, or set optim_wrapper.clip_grad=dict(max_norm=1)')
