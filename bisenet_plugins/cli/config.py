"""Write a config that comes with the package, or one of your own, as one readable file without bases."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from keyword import iskeyword
from math import isfinite
from pathlib import Path
from shlex import quote
from typing import Any

from ..errors import expect
from .list import read_configs, read_networks
from .options import add_config_options, config_options, find_config


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('name', metavar='NAME', help='config or network as "bisenet list" names it, or a config file')
    parser.add_argument('--out', metavar='FILE', help='file to write (default: NAME.py, here)')
    parser.add_argument('--overwrite', action='store_true', help='replace the file if it is there')
    add_config_options(parser)


def check(args: Namespace) -> None:
    """Find what is named."""
    args.network = next((entry for entry in read_networks(read_configs()) if entry['name'] == args.name), None)
    args.path = find_config(args.network.get('config', args.name) if args.network else args.name)
    expect(not args.out or args.out.endswith('.py'), '--out', 'a name that ends in .py, as a config needs it', args.out)


def run(args: Namespace) -> None:
    """Write the file, and say how to train it."""
    from ..config import read_config
    from ..files import write_atomically

    # a network's last stage starts from the one before; the network itself is what one starts from
    start = dict(load_from=f'bisenet_plugins://{args.name}') if args.network else {}
    cfg = read_config(args.path, start | config_options(args))
    path = Path(args.out or f'{Path(args.name.removesuffix(".py")).name}.py')
    expect(path.resolve() != args.path.resolve(), '--out', 'another file than the config that is read', str(path))
    expect(args.overwrite or not path.exists(), '--out', 'a new file, or --overwrite for one that is there', str(path))
    write_atomically(path, flat_source(cfg.to_dict(), args.name).encode())
    print(f'{path}: change what you need, then run "bisenet train {quote(str(path))}"')


def flat_source(cfg: Mapping[str, Any], name: str) -> str:
    """Return a config as Python that says everything once.

    Args:
        cfg: The config's values.
        name: What it was made from.

    Example:
        >>> print(flat_source(dict(helper=1, val_cfg=dict(type='ValLoop'), model=dict(type='A', scale=(2, 1))), 'a'))
        # Written by "bisenet config a".
        model = dict(type='A', scale=(2, 1))
        val_cfg = dict(type='ValLoop')
    """
    from yapf.yapflib.yapf_api import FormatCode

    from ..config import KEYS

    inside = {'data_preprocessor'} if 'data_preprocessor' in cfg.get('model', {}) else set()
    before = KEYS.index('tta_pipeline')
    keys = (*KEYS[:before], 'train_pipeline', 'test_pipeline', *KEYS[before:])  # the bases' other helpers are left out
    cfg = {key: cfg[key] for key in keys if key not in inside and cfg.get(key) is not None}
    lines = []
    for key, value in cfg.items():
        stage, _, rest = key.partition('_')
        same = stage == 'test' and rest in ('dataloader', 'evaluator') and value == cfg.get(f'val_{rest}')
        lines.append(f'{key} = {f"val_{rest}" if same else _source(value, cfg)}')
    code, _ = FormatCode('\n'.join(lines), style_config=dict(based_on_style='facebook', column_limit=120))
    return f'# Written by "bisenet config {name}".\n{code}'


def _source(value: Any, cfg: Mapping[str, Any]) -> str:
    """Write a value as source; a pipeline that stands at the top is called by its name."""
    if isinstance(value, Mapping):
        inner = {key: next((name for name in ('train_pipeline', 'test_pipeline') if key == 'pipeline'
                            and item == cfg.get(name)), None) or _source(item, cfg) for key, item in value.items()}
        if all(isinstance(key, str) and key.isidentifier() and not iskeyword(key) for key in inner):
            return f'dict({", ".join(f"{key}={text}" for key, text in inner.items())})'
        return f'{{{", ".join(f"{key!r}: {text}" for key, text in inner.items())}}}'
    if isinstance(value, list | tuple):
        inner_text = ', '.join(_source(item, cfg) for item in value)
        return f'[{inner_text}]' if isinstance(value, list) else f'({inner_text}{"," if len(value) == 1 else ""})'
    if isinstance(value, float) and not isfinite(value):
        return f"float('{value}')"
    value = os.fspath(value) if isinstance(value, os.PathLike) else getattr(value, 'item', lambda: value)()  # numpy's
    value = f'{value.__module__}.{value.__qualname__}' if isinstance(value, type) else value
    expect(isinstance(value, str | bytes | int | float | complex | None), 'config', 'values that can be written', value)
    return repr(value)
