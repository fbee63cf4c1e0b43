"""Read configs, find what is wrong in them before anything is built, and say which part of one failed."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import mmseg.registry as registries
from mmengine.config import Config
from mmengine.registry import Registry
from mmseg.utils import register_all_modules

from .arguments import accepted_arguments, check_argument, check_arguments, describe, fits, nearest
from .errors import BisenetError, ConfigError, expect, told_by

__all__ = ['check_config', 'explained', 'items', 'nodes', 'read_config']

# What mmengine's Runner takes, and what mmseg's and this project's tools read beside it: the usual in the order of
# reading, then the rest.
KEYS = tuple('''default_scope custom_imports model tta_pipeline tta_model train_dataloader val_dataloader
    test_dataloader val_evaluator test_evaluator optim_wrapper param_scheduler train_cfg val_cfg test_cfg
    auto_scale_lr default_hooks custom_hooks load_from resume randomness env_cfg launcher visualizer log_processor
    log_level find_unused_parameters model_wrapper_cfg runner_type work_dir activation_checkpointing compile
    data_preprocessor efficient_conv_bn_eval experiment_name strategy sync_bn'''.split())
# Names that configs define by custom, whether something in them reads the name or not.
CUSTOM = re.compile(r'.*_(pipeline|cfg|root|type|scale|size|ratios|backends|scope|dataset|suffix)$|'
                    r'(local_rank|num_classes|classes|palette|metainfo|optimizer|checkpoint.*|vis_backends|dataset)$')
# Configs of mmseg 0.x have these keys; nothing reads them since 1.0.
OLD_KEYS = dict(data='train_dataloader', evaluation='val_evaluator', runner='train_cfg', lr_config='param_scheduler',
                optimizer_config='optim_wrapper', log_config='default_hooks.logger', workflow='train_cfg',
                checkpoint_config='default_hooks.checkpoint')
# The registry of a type by the key that leads to it; what stands below another key is of its parent's kind.
KINDS = {key: kind for kind, keys in dict(
    MODELS='model tta_model data_preprocessor', MODEL_WRAPPERS='model_wrapper_cfg', OPTIM_WRAPPERS='optim_wrapper',
    OPTIMIZERS='optimizer', PARAM_SCHEDULERS='param_scheduler', LOOPS='train_cfg val_cfg test_cfg',
    DATASETS='dataset datasets', TRANSFORMS='pipeline transforms tta_pipeline', DATA_SAMPLERS='sampler batch_sampler',
    FUNCTIONS='collate_fn', HOOKS='default_hooks custom_hooks', METRICS='val_evaluator test_evaluator metrics',
    VISUALIZERS='visualizer', VISBACKENDS='vis_backends', LOG_PROCESSORS='log_processor',
    WEIGHT_INITIALIZERS='init_cfg').items() for key in keys.split()}
# Of those, the keys that hold one part or several.
LISTS = frozenset('''custom_hooks datasets init_cfg param_scheduler pipeline test_evaluator transforms tta_pipeline
    val_evaluator vis_backends'''.split())
# Arguments that mean the same in every part, whoever wrote it.
COMMON = frozenset('''accumulative_counts base_batch_size batch_size channels crop_size ignore_index in_channels
    loss_weight lr max_epochs max_iters max_norm mean momentum num_classes num_workers power prob seed size std stride
    thresh val_begin val_interval weight_decay'''.split())
PLAIN: dict[str, Any] = {**dict.fromkeys('auto_scale_lr env_cfg randomness'.split(), dict), 'log_level': str | int,
    **dict.fromkeys('default_scope experiment_name load_from work_dir'.split(), str),
    **dict.fromkeys('find_unused_parameters resume'.split(), bool)}
SETTINGS = dict(
    paramwise_cfg='lr_mult bias_lr_mult bias_decay_mult norm_decay_mult flat_decay_mult dwconv_decay_mult custom_keys '
    'dcn_offset_lr_mult bypass_duplicate', auto_scale_lr='enable base_batch_size',
    env_cfg='cudnn_benchmark mp_cfg dist_cfg resource_limit')
REGISTRIES = {name: value for name, value in vars(registries).items() if isinstance(value, Registry)}


def read_config(path: str | os.PathLike[str], options: dict[str, Any] | None = None) -> Config:
    """Read a config file, and lay values over it.

    Args:
        path: The file.
        options: Values by dotted key, such as ``{'train_dataloader.batch_size': 4}``.

    Raises:
        ConfigError: If there is no such file, it cannot be read, what it executes fails, or an option does not fit it
            or changes a name that only the file itself reads; or as :func:`check_config`.
    """
    if not Path(path).is_file():
        raise ConfigError(f'there is no config at {path}')
    try:
        _follow_bases(Path(path).resolve(), ())
        cfg = Config.fromfile(path)
        cfg.items()  # a lazy config imports now
    except ConfigError:
        raise
    except Exception as error:  # a config is a program: it raises what it likes
        cause: BaseException = error
        while isinstance(inner := cause.__cause__ or cause.__context__, ImportError):  # as custom_imports wraps it
            cause = inner
        hint = '; PYTHONPATH=FOLDER makes a module of yours known' * isinstance(cause, ModuleNotFoundError)
        raise ConfigError(f'{path}: expected an mmengine config, got {type(cause).__name__}: {told_by(cause)}{hint}'
                          ) from error
    check_config(cfg)
    if not options:
        return cfg
    for top in (key.partition('.')[0] for key in options):
        if top not in (*KEYS, *cfg):
            raise ConfigError(f'--cfg-options: expected keys that are in the config, got {top!r}{nearest(top, KEYS)}')
        if top not in KEYS and _used(top, cfg):
            raise ConfigError(f'--cfg-options: expected keys of what is built, got {top!r}, which only the config file '
                              'reads; change it there, or what it stands for')
    try:
        cfg.merge_from_dict(options)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f'--cfg-options: expected keys and values that fit the config, got {error}, in '
                          f'{", ".join(options)}') from error
    check_config(cfg)
    return cfg


def _used(key: str, cfg: Config) -> bool:
    """Return whether the text of a config, bases included, names a key elsewhere than where it is set."""
    return re.search(rf'\b{re.escape(key)}\b(?!\s*=[^=])', cfg.text if isinstance(cfg.text, str) else '') is not None


def _follow_bases(path: Path, before: tuple[Path, ...]) -> None:
    """Refuse a config that inherits itself; mmengine takes half a minute to find out."""
    if path in before:
        raise ConfigError(f'{before[0]}: expected _base_ files that end somewhere, got {path}, which leads back to '
                          'itself')
    if path.suffix != '.py' or not Config._is_lazy_import(str(path)):
        for base in Config._get_base_files(str(path)):
            if '::' not in base:
                _follow_bases((path.parent / base).resolve(), (*before, path))


def check_config(cfg: Config) -> None:
    """Refuse what can be seen to be wrong without building anything.

    Args:
        cfg: A config.

    Raises:
        ConfigError: If a top-level key looks like another one misspelt or is one of mmseg 0.x, or a type is in no
            registry.
        InputError: If a value is not what its argument must be.
    """
    for key in cfg:  # of what a lazy base imports, mmengine keeps the names
        if key in KEYS or key.startswith('_') or callable(cfg[key]) or isinstance(cfg[key], ModuleType):
            continue
        if key in OLD_KEYS:
            raise ConfigError(f'{key}: expected a config of mmseg 1.0 or later, got a key of 0.x; its place is '
                              f'{OLD_KEYS[key]}')
        if (meant := nearest(key, KEYS, 0.75)) and not _used(key, cfg) and not CUSTOM.match(key):
            raise ConfigError(f'{key}: expected a key that something reads, got an unknown one{meant}')
    register_all_modules(init_default_scope=False)
    if isinstance(cfg.get('model'), dict) and 'type' not in cfg.model:
        raise ConfigError(f'model.type: expected the name of a registered model, got a dict of {[*cfg.model]}')
    for key in (known for known in KEYS if known in cfg):
        if key in PLAIN and cfg[key] is not None:
            expect(fits(cfg[key], PLAIN[key]), key, describe(PLAIN[key]), cfg[key])
        if key in KINDS or key.endswith('_dataloader'):
            _check_kind(key, cfg[key], key)
        _check_node(cfg[key], key, KINDS.get(key, ''), f'{cfg.get("default_scope") or "mmseg"}.')


def _check_kind(key: str, value: Any, path: str) -> None:
    """Refuse plain values where a part stands, or several."""
    several = key in LISTS
    if key == 'custom_hooks' and isinstance(value, dict) and value:  # by --cfg-options custom_hooks.0.type=A
        raise ConfigError(f'{path}: expected a list of dicts, got {value!r}')
    inner: Any = value if several and isinstance(value, list | tuple) else [value]
    if key == 'default_hooks' and isinstance(value, dict):
        inner = [*value.values()]
    plain = str | int | float if several else str | int | float | list | tuple
    expect(not any(isinstance(one, plain) for one in inner), path, 'a list of dicts' if several else 'a dict', value)


def _check_node(node: Any, path: str, kind: str, scope: str) -> None:
    """Check a config dict, or a list of them, and what is inside."""
    if not isinstance(node, dict):
        for number, inner in items(node):
            if isinstance(inner, dict) and '_delete_' in inner:
                raise ConfigError(f'{path}.{number}: expected _delete_ in a dict that is merged, got it in a list')
            _check_node(inner, f'{path}.{number}', kind, scope)
        return
    name = node.get('type')
    registry = REGISTRIES.get(kind)
    if str(name).rpartition('.')[2] == 'Albu':  # its transforms are another library's
        return
    if registry is not None and isinstance(name, str) and not (
            name.rpartition('.')[2] in dict(_registered()) or any(
                one.get(name) or one.get(scope + name) for one in REGISTRIES.values())):
        known = [*registry.module_dict, *(registry.parent.module_dict if registry.parent else ())]
        raise ConfigError(f"{path}.type: expected a type registered in '{registry.name}', got {name!r}"
                          + (nearest(name, known) or '; custom_imports names the package that registers it'))
    cls = registry.get(name) if registry is not None and kind == 'METRICS' and isinstance(name, str) else None
    place = path.rpartition('.')[2]
    # what is not their own, a metric drops and these leave unread
    own = {'type', *accepted_arguments(cls)} if isinstance(cls, type) else set(SETTINGS.get(place, '').split())
    for key, value in node.items():
        if key in COMMON:
            check_argument(key, value, f'{path}.')
        if key in KINDS and key != 'metrics':
            _check_kind(key, value, f'{path}.{key}')
        if own and key not in own and (meant := nearest(key, own, 0.75)):
            raise ConfigError(f'{path}: expected an argument of {name or place}, got {key!r}{meant}')
        _check_node(value, f'{path}.{key}', KINDS.get(key, kind), scope)


def _registered(*without: str) -> list[tuple[str, Any]]:
    """Return what is registered, with its name, under any kind but some."""
    return [part for kind, registry in REGISTRIES.items() if kind not in without
            for one in (registry, registry.parent) if one is not None for part in one.module_dict.items()]


@contextmanager
def explained(cfg: Config) -> Iterator[None]:
    """Turn whatever fails inside the block into a sentence that names the part of a config.

    Args:
        cfg: What is built inside the block.

    Raises:
        ConfigError: In place of any error but this project's own and those of files.
    """
    try:
        yield
    except (BisenetError, OSError, MemoryError, ModuleNotFoundError) as error:
        if 'Original Traceback' not in str(error):
            raise
        told = told_by(error)  # in a data worker, after the name of its class
        raise type(error)(told.partition(': ')[2] or told) from error
    except Exception as error:
        raise ConfigError(_explain(error, cfg)) from error


def _explain(error: Exception, cfg: Config) -> str:
    """Say where in a config an error comes from, and what was expected there."""
    told = told_by(error)
    unknown = re.search(r"(?:(\w+)\.__init__|(\w+))\(\) got an unexpected keyword argument '(\w+)'", told)
    if lacking := re.fullmatch(r"'Config(?:Dict)?' object has no attribute '(\w+)'", told):
        return f'config: expected {lacking[1]}, got none'
    if 'need at least one array to concatenate' in told:  # as a dataset of nothing says it
        told = 'expected samples, got none; "bisenet check-data" says more'
    cls, sample, split, file = None, None, None, None
    parts = {part for _, part in _registered('RUNNERS', 'LOOPS')}
    for frame, _ in traceback.walk_tb(error.__traceback__):
        sample = frame.f_locals.get('results', sample)  # of a transform
        file = frame.f_locals.get('filename', file)  # of mmengine's list_from_file
        own = type(frame.f_locals.get('self'))
        loop = re.search('(train|val|test)_?loop', f'{frame.f_code.co_name} {own}'.lower())
        split = loop[1] if loop else split
        cls = own if own in parts else cls  # the innermost part that ran
        cls = frame.f_locals.get('obj_cls', cls)  # of mmengine's build_from_cfg: the innermost part that was built
        if unknown and isinstance(frame.f_globals.get(unknown[1] or unknown[2]), type):
            cls = frame.f_globals[unknown[1] or unknown[2]]
        if frame.f_code.co_name == 'build_from_cfg' and isinstance(cls, type):
            try:
                # several parts may stand where one is annotated, as in cascades
                check_arguments(cls, {key: value for key, value in frame.f_locals.get('args', {}).items()
                                      if key in frame.f_locals['cfg'] and not fits(value, list[dict])})
            except BisenetError as found:
                told = str(found)
    if isinstance(error, UnicodeDecodeError):
        told = f'{file}: expected UTF-8, got {told}'
    # a part of that name in what was running comes before others
    cfg = dict(sorted(cfg.items(), key=lambda item: (not item[0].startswith(f'{split}_'), item[0] not in KEYS)))
    if not isinstance(cls, type):
        first = str((error.args or ('',))[0])
        named = [first, *re.findall(r"['`]([^'`]+)['`]", first)]
        if path := _find(cfg, lambda node: isinstance(node, str) and node in named):
            return f'{path}: expected another value, got {told}'
        return told if type(error) in (ValueError, RuntimeError) else f'{type(error).__name__}: {told}'
    if unknown:
        key = unknown[3]
        path = _find(cfg, lambda node: isinstance(node, dict) and key in node)
        return f'{path or cls.__name__}: expected an argument of {cls.__name__}, got {key!r}' \
               f'{nearest(key, accepted_arguments(cls))}'
    path = _find(cfg, lambda node: isinstance(node, dict) and str(node.get('type')).rpartition('.')[2] == cls.__name__)
    if isinstance(sample, dict) and sample.get('seg_map_path'):
        told += f', at {sample.get("img_path")} with {sample["seg_map_path"]}'
    return ': '.join(filter(None, (path, '' if told.startswith(cls.__name__) else cls.__name__, told)))


def items(node: Any) -> list[tuple[Any, Any]]:
    """Return what is in a node of a config, a dict or a list, by key or by place; nothing of a plain value.

    Args:
        node: The node.

    Example:
        >>> items({'a': 1}), items(['b']), items('c')
        ([('a', 1)], [(0, 'b')], [])
    """
    return [*node.items()] if isinstance(node, dict) else [*enumerate(node)] if isinstance(node, list | tuple) else []


def nodes(node: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Yield a config, or a part of one, and everything in it, each by its dotted path.

    Args:
        node: The config.
        path: Its own path.

    Example:
        >>> list(nodes(dict(a=[1])))
        [('', {'a': [1]}), ('a', [1]), ('a.0', 1)]
    """
    yield path, node
    for key, inner in items(node):
        yield from nodes(inner, f'{path}.{key}'.strip('.'))


def _find(cfg: Any, holds: Callable[[Any], bool]) -> str | None:
    """Return the dotted path of the first value in a config for which something holds."""
    return next((path for path, node in nodes(cfg) if holds(node)), None)
