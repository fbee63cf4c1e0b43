"""From a config file and a command line's options to a finished training or test."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from mmseg.utils import register_all_modules

from ..errors import ConfigError
from ..weights.checkpoint import find_resumable, load_checkpoint, load_weights, weights_only_checkpoints

__all__ = ['load_config', 'prepare_test', 'prepare_training', 'run_test', 'run_training']


def load_config(
    path: str | os.PathLike[str],
    work_dir: str | os.PathLike[str] | None = None,
    cfg_options: dict[str, Any] | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config and lay a command line's options over it.

    Args:
        path: The config file.
        work_dir: Folder for logs and checkpoints; by default the config's own, or ``work_dirs/`` and the config's name.
        cfg_options: Values by dotted key, such as ``{'train_dataloader.batch_size': 4}``.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Returns:
        The config, ready for one of the functions ``prepare_*``.

    Raises:
        ConfigError: If there is no such file, or it is no mmengine config.
    """
    if not Path(path).is_file():
        raise ConfigError(f'there is no config at {path}')
    try:
        cfg = Config.fromfile(path)
    except (SyntaxError, OSError, KeyError) as error:
        raise ConfigError(f'{path}: expected an mmengine config, got {type(error).__name__}: {error}') from error
    cfg.launcher = launcher
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    if work_dir is not None:
        cfg.work_dir = str(work_dir)
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(path).stem)
    return cfg


def prepare_training(cfg: Config, resume: bool = False, amp: bool = False, auto_scale_lr: bool = False) -> Config:
    """Apply the options of a training.

    Args:
        cfg: As from :func:`load_config`; changed in place.
        resume: Resume from the newest whole checkpoint of ``work_dir``, or from ``load_from`` where the config has one.
            A run without a checkpoint starts from the beginning.
        amp: Train in mixed precision.
        auto_scale_lr: Scale the learning rate to the real batch, by the config's ``auto_scale_lr.base_batch_size``.

    Returns:
        The same config.

    Raises:
        ConfigError: If a key that an option needs is missing, or there is no accelerator for mixed precision.
    """
    _require_keys(cfg, ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper'))
    if amp:
        kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
        if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
            raise ConfigError(f'optim_wrapper.type: expected OptimWrapper with --amp, got {kind}')
        if get_device() == 'cpu':
            raise ConfigError('--amp: expected an accelerator, got a CPU')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ConfigError('auto_scale_lr: expected dict(base_batch_size=...) with --auto-scale-lr, got none')
        cfg.auto_scale_lr.enable = True
    if resume:
        # A file given by load_from is the user's own choice; otherwise damaged ones are passed over.
        cfg.resume = True
        if '://' in str(cfg.get('load_from') or '://'):  # none, or what a training starts from and nothing resumes
            newest = find_resumable(cfg.work_dir)
            cfg.resume = newest is not None
            cfg.load_from = str(newest) if newest is not None else cfg.get('load_from')
            if newest is None:
                print_log(f'nothing to resume in {cfg.work_dir}, training starts from the beginning', logger='current')
    return cfg


def prepare_test(
    cfg: Config,
    checkpoint: str | os.PathLike[str],
    out: str | None = None,
    show_dir: str | None = None,
    show: bool = False,
    wait_time: float = 2.0,
    tta: bool = False,
) -> Config:
    """Apply the options of a test.

    Args:
        cfg: As from :func:`load_config`; changed in place.
        checkpoint: The weights to test.
        out: Folder for masks as PNGs of ids.
        show_dir: Folder for images side by side: image | truth | prediction.
        show: Open a window for each prediction.
        wait_time: Seconds that a window stays.
        tta: Average over the variants of the config's ``tta_pipeline``.

    Returns:
        The same config.

    Raises:
        ConfigError: If a key that a test needs is missing.
        FileNotFoundError: If there is no such checkpoint.
        RefusedCheckpointError: If the checkpoint needs pickle.
    """
    _require_keys(cfg, ('model', 'test_dataloader', 'test_cfg', 'test_evaluator', *(['tta_pipeline'] if tta else [])))
    if '://' not in str(checkpoint):
        load_checkpoint(checkpoint)
    cfg.load_from = str(checkpoint)
    cfg.resume = False
    if out is not None or show_dir is not None or show:
        hook = dict(type='WritePredictionsHook', ids_dir=out, show_dir=show_dir, show=show, wait_time=wait_time)
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), hook]
    if tta:
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        merged = cfg.get('tta_model') or ConfigDict(type='BilateralTTAModel')
        merged.module = cfg.model
        # The average needs the logits of each variant, which our segmentor keeps only when asked.
        merged.module.test_cfg = ConfigDict(merged.module.get('test_cfg') or {}, return_logits=True)
        cfg.model = merged
    return cfg


def _require_keys(cfg: Config, keys: Sequence[str]) -> None:
    """Refuse a config that lacks one of the keys."""
    missing = [key for key in keys if cfg.get(key) is None]
    if missing:
        raise ConfigError(f'config: expected {", ".join(keys)}, got none named {", ".join(missing)}')


def build_runner(cfg: Config) -> Runner:
    """Build the runner, ready for processes without an accelerator too.

    Args:
        cfg: A prepared config.

    Returns:
        mmengine's runner, or the one that the config names as ``runner_type``.

    Raises:
        ConfigError: If ``launcher='pytorch'`` was not started by ``torchrun``.
    """
    register_all_modules(init_default_scope=False)
    if cfg.get('launcher', 'none') != 'none' and not torch.cuda.is_available() and get_device() == 'cpu':
        _prepare_cpu_processes(cfg)
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


def _prepare_cpu_processes(cfg: Config) -> None:
    """Let several processes train on the CPU: gloo, no device ids, no batch norm that only a GPU can do."""
    if cfg.launcher == 'pytorch' and not torch_dist.is_initialized():
        if 'RANK' not in os.environ:
            raise ConfigError('--launcher: expected processes started by "torchrun --nproc_per_node=N TOOL", got none')
        torch_dist.init_process_group(backend='gloo')
    wrapper = cfg.get('model_wrapper_cfg') or ConfigDict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    wrapper.device_ids = None
    cfg.model_wrapper_cfg = wrapper
    if _without_sync_bn(cfg.model):
        print_log('SyncBN works on GPUs only, plain BN stands in for it', logger='current')


def _without_sync_bn(node: Any) -> int:
    """Replace SyncBN by BN everywhere below, and count."""
    count = 0
    if isinstance(node, dict):
        if node.get('type') in ('SyncBN', 'MMSyncBN'):
            node['type'] = 'BN'
            count += 1
        count += sum(_without_sync_bn(value) for value in node.values())
    elif isinstance(node, (list, tuple)):
        count += sum(_without_sync_bn(value) for value in node)
    return count


def run_training(cfg: Config) -> Runner:
    """Train as a prepared config says.

    Args:
        cfg: As from :func:`prepare_training`.

    Returns:
        The runner, with its message hub and its last metrics.

    Raises:
        RefusedCheckpointError: If a checkpoint that the config names needs pickle.
    """
    with weights_only_checkpoints():
        runner = build_runner(cfg)
        runner.train()
    return runner


def run_test(cfg: Config) -> dict[str, float]:
    """Test as a prepared config says.

    Args:
        cfg: As from :func:`prepare_test`.

    Returns:
        Metrics by name.

    Raises:
        CheckpointError: If the weights are not those of the config's network, or not finite numbers.
        RefusedCheckpointError: If a checkpoint that the config names needs pickle.
    """
    with weights_only_checkpoints():
        runner = build_runner(cfg)
        if '://' not in str(cfg.load_from):  # the runner itself would test a network that got no weight at all
            network: Any = runner.model
            while is_model_wrapper(network) or isinstance(network, BaseTTAModel):
                network = network.module
            load_weights(network, load_checkpoint(cfg.load_from), str(cfg.load_from))
        return runner.test()
