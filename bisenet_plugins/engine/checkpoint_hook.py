"""Checkpoints from which a run killed at any moment can be resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmseg.registry import HOOKS

from ..errors import expect
from ..files import write_atomically
from .reproducible import sync_buffers

__all__ = ['AtomicCheckpointHook', 'AtomicLocalBackend']


class AtomicLocalBackend(LocalBackend):
    """mmengine's local files, written through :func:`write_atomically`."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file."""
        write_atomically(filepath, bytes(obj))

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text to a file."""
        write_atomically(filepath, obj.encode(encoding))


register_backend('atomic_local', AtomicLocalBackend, force=True)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's checkpoint hook, safe against a kill in the middle of a write.

    It stands in ``default_hooks.checkpoint``. A checkpoint appears under its name only when it is whole, the note
    ``last_checkpoint`` is replaced in one step, and an outdated checkpoint is deleted only after the new one is there.

    Args:
        args: As for mmengine's ``CheckpointHook``.
        kwargs: As for mmengine's ``CheckpointHook``; ``backend_args`` defaults to atomic local files.

    Raises:
        InputError: If ``interval`` or ``max_keep_ckpts`` is neither -1 nor a whole number of at least 1.

    Note:
        Running statistics are averaged over the processes before they are saved, so that all processes continue from
        what the file holds. With gradient accumulation, save at multiples of ``accumulative_counts``: gradients
        gathered so far are not part of a checkpoint.

    Example:
        >>> AtomicCheckpointHook(by_epoch=False, interval=1000, max_keep_ckpts=3).backend_args
        {'backend': 'atomic_local'}
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get('backend_args') is None and kwargs.get('file_client_args') is None:
            kwargs['backend_args'] = {'backend': 'atomic_local'}
        super().__init__(*args, **kwargs)
        for name, otherwise in (('interval', 'never'), ('max_keep_ckpts', 'all')):
            value = getattr(self, name)
            expect(isinstance(value, int) and (value == -1 or value > 0), f'{type(self).__name__}.{name}',
                   f'a whole number of at least 1, or -1 for {otherwise}', value)

    def before_train(self, runner: Any) -> None:
        """Prepare the folder, and warn where gradients would be lost."""
        super().before_train(runner)
        counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        if not self.by_epoch and self.interval > 0 and self.interval % counts:
            runner.logger.warning(
                f'checkpoints every {self.interval} iterations fall between updates of accumulative_counts={counts}; '
                'a resumed run would lose gradients gathered so far, choose a multiple')

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict[str, Any]) -> None:
        """Save, point to the file, then delete what is outdated."""
        sync_buffers(runner)
        outdated: list[int] = []
        if self.max_keep_ckpts > 0 and (not self.keep_ckpt_ids or self.keep_ckpt_ids[-1] != step):
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated.append(self.keep_ckpt_ids.popleft())
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(self.out_dir, filename, self.file_client_args, save_optimizer=self.save_optimizer,
                               save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
                               backend_args=self.backend_args, **self.args)
        if not is_main_process():
            return
        write_atomically(Path(runner.work_dir) / 'last_checkpoint', str(self.last_ckpt).encode())
        for old in outdated:
            path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old))
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
                print_log(f'deleted the outdated checkpoint {path}', logger='silent')
