"""From a config file and a command line's options to a finished training or test."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as torch_dist
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..config import explained, nodes, read_config
from ..datasets.check import check_pipelines
from ..datasets.samples import member_configs
from ..errors import CheckpointError, ConfigError, InputError, expect
from ..weights.checkpoint import find_resumable, load_checkpoint, load_weights, plain_weights, weights_only_checkpoints
from ..weights.fine_tune import SCHEME
from ..weights.store import pretrained_names
from .label_hook import LabelCheckHook, plain_network
from .termination import change_loaders, save_on_sigterm

__all__ = ['keep_freed_memory', 'load_config', 'prepare_test', 'prepare_training', 'run_test', 'run_training']

# Who starts several processes, and the environment variables by which they know of each other.
LAUNCHERS = {
    'none': ('nothing', ()),
    'pytorch': ('"torchrun --nproc_per_node=N TOOL"', ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')),
    'slurm': ('srun', ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST')),
    'mpi': ('mpirun', ('OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_RANK'))}

OWN_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


def load_config(path: str | os.PathLike[str], work_dir: str | os.PathLike[str] | None = None,
                cfg_options: dict[str, Any] | None = None, launcher: str = 'none') -> Config:
    """Read a config and lay a command line's options over it.

    Args:
        path: The config file.
        work_dir: Folder for logs and checkpoints; by default the config's own, or ``work_dirs/`` and the config's name.
        cfg_options: Values by dotted key, such as ``{'train_dataloader.batch_size': 4}``.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Returns:
        The config, ready for one of the functions ``prepare_*``.

    Raises:
        ConfigError: If there is no such file, it is no mmengine config, or something in it is seen to be wrong.
        InputError: If a value is not what its argument must be.
    """
    for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE'):
        value = os.environ.get(name, '0')
        expect(value.isdigit(), f'environment variable {name}', 'a whole number of at least 0', value)
    cfg = read_config(path, cfg_options)
    cfg.launcher = launcher
    cfg.work_dir = str(work_dir or cfg.get('work_dir') or Path('work_dirs') / Path(path).stem)
    return cfg


def prepare_training(cfg: Config, resume: bool = False, amp: bool = False, auto_scale_lr: bool = False) -> Config:
    """Apply the options of a training.

    Args:
        cfg: As from :func:`load_config`; changed in place.
        resume: Resume from the newest whole checkpoint of ``work_dir``; without one, from ``load_from`` if that is a
            file of a training. Otherwise the training starts from the beginning, from the weights of ``load_from``.
        amp: Train in mixed precision.
        auto_scale_lr: Scale the learning rate to the real batch, by the config's ``auto_scale_lr.base_batch_size``.

    Returns:
        The same config.

    Raises:
        ConfigError: If a key that an option needs is missing, or there is no accelerator for mixed precision.
        DamagedCheckpointError: If ``work_dir`` has checkpoints to resume from and none of them can be read.
        FileNotFoundError: If ``load_from`` names a file that is not there.
        InputError: If ``load_from`` names a network that does not come with the package.
    """
    _require_keys(cfg, ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper'))
    start, known = str(cfg.get('load_from') or SCHEME), [f'{SCHEME}{name}' for name in pretrained_names()]
    if start.startswith(SCHEME):
        expect(start in (SCHEME, *known), 'load_from', f'a file or one of {", ".join(known)}', start)
    held: dict[str, Any] = {} if '://' in start else load_checkpoint(start)
    sampler, loop, wrapper = (getattr(kind, '__name__', str(kind)).rpartition('.')[2] for kind in (
        (cfg.train_dataloader.get('sampler') or {}).get('type'), cfg.train_cfg.get('type'),
        cfg.optim_wrapper.get('type', 'OptimWrapper')))
    epochs = loop == 'EpochBasedTrainLoop' or cfg.train_cfg.get('by_epoch')
    if epochs and sampler in ('ResumableSampler', 'InfiniteSampler'):
        raise ConfigError('train_dataloader.sampler: expected one that ends with the epoch, such as DefaultSampler, '
                          f'and no SeedSample in the pipeline, got {sampler}')
    if loop == 'IterBasedTrainLoop' or cfg.train_cfg.get('by_epoch') is False:
        for path, one in nodes(cfg.get('param_scheduler'), 'param_scheduler'):
            if isinstance(one, dict) and 'type' in one and 'Plateau' not in str(one['type']) and one.get(
                    'by_epoch', True) and not one.get('convert_to_iter_based'):
                raise ConfigError(f'{path}.by_epoch: expected False where iterations count, got True: no rate changes')
    if amp:
        if wrapper not in ('OptimWrapper', 'AmpOptimWrapper'):
            raise ConfigError(f'optim_wrapper.type: expected OptimWrapper with --amp, got {wrapper}')
        if get_device() == 'cpu':
            raise ConfigError('--amp: expected an accelerator, got a CPU')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ConfigError('auto_scale_lr: expected dict(base_batch_size=...) with --auto-scale-lr, got none')
        cfg.auto_scale_lr.enable = True
    if resume:
        whole = {'meta', 'state_dict'} <= {*held} and {'optimizer', 'iter'} & {*held, *(held['meta'] or ())}
        newest = find_resumable(cfg.work_dir) or (start if whole else None)
        cfg.resume, cfg.load_from = newest is not None, str(newest) if newest else cfg.get('load_from')
        if newest is None:
            print_log(f'nothing to resume in {cfg.work_dir}, training starts from the beginning', logger='current')
    return cfg


def prepare_test(cfg: Config, checkpoint: str | os.PathLike[str], out: str | None = None, show_dir: str | None = None,
                 show: bool = False, wait_time: float = 2.0, tta: bool = False) -> Config:
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
        ConfigError: If a key that a test needs is missing, or there is no display for ``show``.
        FileNotFoundError: If there is no such checkpoint.
        RefusedCheckpointError: If the checkpoint needs pickle.
    """
    _require_keys(cfg, ('model', 'test_dataloader', 'test_cfg', 'test_evaluator', *(['tta_pipeline'] if tta else [])))
    if '://' not in str(checkpoint):
        load_checkpoint(checkpoint)
    display = os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')
    if show and not display and sys.platform.startswith('linux'):
        raise ConfigError('--show: expected a display, got none; --show-dir writes the images to a folder')
    cfg.load_from, cfg.resume = str(checkpoint), False
    if out is not None or show_dir is not None or show:
        hook = dict(type='WritePredictionsHook', ids_dir=out, show_dir=show_dir, show=show, wait_time=wait_time)
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), hook]
    if tta:
        for member in member_configs(cfg.test_dataloader.dataset):
            member['pipeline'] = cfg.tta_pipeline
        merged = cfg.get('tta_model') or ConfigDict(type='BilateralTTAModel')
        merged.module = cfg.model
        # The average needs the logits of each variant, which our segmentor keeps only when asked.
        merged.module.test_cfg = ConfigDict(merged.module.get('test_cfg') or {}, return_logits=True)
        cfg.model = merged
    return cfg


def _require_keys(cfg: Config, keys: Sequence[str]) -> None:
    """Refuse a config that lacks one of the keys."""
    if missing := [key for key in keys if cfg.get(key) is None]:
        raise ConfigError(f'config: expected {", ".join(keys)}, got none named {", ".join(missing)}')


def build_runner(cfg: Config) -> Runner:
    """Build the runner, ready for processes without an accelerator too.

    Args:
        cfg: A prepared config.

    Returns:
        mmengine's runner, or the one that the config names as ``runner_type``.

    Raises:
        ConfigError: If something in the config cannot be built, or the process was not started by its launcher.
    """
    launcher = cfg.get('launcher', 'none')
    if lacking := [name for name in LAUNCHERS[launcher][1] if name not in os.environ]:
        raise ConfigError(f'--launcher {launcher}: expected processes started by {LAUNCHERS[launcher][0]}, got none of '
                          f'its environment variables {", ".join(lacking)}')
    if launcher != 'none' and not torch.cuda.is_available() and get_device() == 'cpu':
        _prepare_cpu_processes(cfg)
    hooks = cfg.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if hook is None and name not in OWN_HOOKS]:
        del hooks[name]  # mmengine knows how to leave its own out, and no other
    with explained(cfg):
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if not any(isinstance(hook, LabelCheckHook) for hook in runner.hooks):
        runner.register_hook(LabelCheckHook())
    change_loaders(runner, lambda loader: check_pipelines(loader.dataset))
    return runner


def _check_start(runner: Runner, cfg: Config) -> None:
    """Refuse to resume weights of another network, and to start from a file that holds none of this one's."""
    if cfg.get('load_from') is None or '://' in str(cfg.load_from):
        return
    own, loaded = ({name: torch.is_tensor(value) and (value.shape, value.layout, value.is_meta) for name, value in
                    weights.items()} for weights in (plain_network(runner).state_dict(),
                                                     plain_weights(load_checkpoint(cfg.load_from))))
    # every network has a classifier: one of the backbone's weights counts
    body = [name for name in own if name.startswith('backbone.')] or own
    foreign = all(own[name] != loaded.get(name) for name in body)
    if cfg.get('resume') and (kept := _kept_settings(load_checkpoint(cfg.load_from), cfg)):
        runner.logger.warning(f'the checkpoint that is resumed keeps {", ".join(kept)}, whatever the config says; '
                              'load_from starts another schedule from its weights')
    if cfg.get('resume') and own != loaded or foreign:
        first = next((name for name in [*own, *loaded] if own.get(name) != loaded.get(name)), '')
        raise CheckpointError(f"{cfg.load_from}: expected the weights of the config's network, got "
                              f'others, the first is {first}'
                              + foreign * '; "bisenet convert" renames those of other projects')


def _kept_settings(held: Mapping[str, Any], cfg: Config) -> list[str]:
    """Name what a resumed optimizer and schedule keep from the checkpoint, and the config has otherwise."""
    groups = (held.get('optimizer') or {}).get('param_groups', ())
    name = dict(lr='initial_lr')  # before the schedule
    kept = {f'optim_wrapper.optimizer.{key}': (value, [group.get(name.get(key, key)) for group in groups])
            for key, value in (cfg.optim_wrapper.get('optimizer') or {}).items()
            if key != 'lr' or not (cfg.get('auto_scale_lr') or {}).get('enable')}
    schedule, states = cfg.get('param_scheduler'), held.get('param_schedulers')
    if isinstance(schedule, list) and isinstance(states, list):
        kept |= {f'param_scheduler.{number}.{key}': (value, [state.get(key)])
                 for number, (one, state) in enumerate(zip(schedule, states))
                 for key, value in one.items() if not one.get('convert_to_iter_based')}
    return [f'{path}={values[0]}' for path, (value, values) in kept.items()
            if isinstance(value, int | float) and any(one is not None for one in values) and value not in values]


def _prepare_cpu_processes(cfg: Config) -> None:
    """Let several processes train on the CPU: gloo, no device ids, no batch norm that only a GPU can do."""
    if cfg.launcher == 'pytorch' and not torch_dist.is_initialized():
        torch_dist.init_process_group(backend='gloo')
    unused = cfg.get('find_unused_parameters', False)
    cfg.model_wrapper_cfg = cfg.get('model_wrapper_cfg') or ConfigDict(
        type='MMDistributedDataParallel', broadcast_buffers=False, find_unused_parameters=unused)
    cfg.model_wrapper_cfg.device_ids = None
    found = [node for _, node in nodes(cfg.model)
             if isinstance(node, dict) and node.get('type') in ('SyncBN', 'MMSyncBN')]
    for node in found:
        node['type'] = 'BN'
    if found:
        print_log('SyncBN works on GPUs only, plain BN stands in for it', logger='current')


def keep_freed_memory() -> bool:
    """Let the C library keep what this process frees, for training on a CPU.

    glibc hands large maps back to the system, and fetches them again, page by page, at every layer. It is left as it is
    beside an accelerator, where it does not matter, and where the environment names an allocator or its settings
    (``LD_PRELOAD``, ``MALLOC_...``, ``GLIBC_TUNABLES``).

    Returns:
        Whether glibc took the settings.
    """
    named = any(name in ('LD_PRELOAD', 'GLIBC_TUNABLES') or name.startswith('MALLOC_') for name in os.environ)
    if named or not sys.platform.startswith('linux') or get_device() != 'cpu':
        return False
    set_option = getattr(ctypes.CDLL(None), 'mallopt', None)
    # no separate mappings (M_MMAP_MAX), and no returning of the heap's end (M_TRIM_THRESHOLD)
    return set_option is not None and all(set_option(key, value) == 1 for key, value in ((-4, 0), (-1, 2**31 - 1)))


def run_training(cfg: Config) -> Runner:
    """Train as a prepared config says.

    Args:
        cfg: As from :func:`prepare_training`.

    Returns:
        The runner, with its message hub and its last metrics.

    Raises:
        CheckpointError: If the weights to resume from are of another network.
        RefusedCheckpointError: If a checkpoint that the config names needs pickle.
        TerminatedError: If the process got SIGTERM; a checkpoint was saved.
    """
    with weights_only_checkpoints():
        runner = build_runner(cfg)
        _check_start(runner, cfg)
        with explained(cfg), save_on_sigterm(runner):
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
        InputError: If nothing is labelled.
        RefusedCheckpointError: If a checkpoint that the config names needs pickle.
    """
    with weights_only_checkpoints():
        runner = build_runner(cfg)
        if '://' not in str(cfg.load_from):  # the runner itself would test a network that got no weight at all
            load_weights(plain_network(runner), load_checkpoint(cfg.load_from), str(cfg.load_from))
        with explained(cfg):
            metrics = runner.test()
    if metrics and all(np.ndim(value) == 0 and value != value for value in metrics.values()):
        raise InputError('test_dataloader: expected labelled pixels, got none, so every metric is nan')
    return metrics
