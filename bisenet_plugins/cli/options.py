"""Options that several commands share, and the one way from them to a network."""

from __future__ import annotations

import ast
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arguments import Rule, nearest
from ..errors import ConfigError, InputError, expect, require
from ..weights.store import pretrained_names

if TYPE_CHECKING:
    from ..runtime import Predictor

__all__ = ['add_config_options', 'add_launcher', 'add_network', 'chosen_network', 'config_options', 'configs_folder',
           'find_config', 'number', 'open_network', 'whole']

PACKAGE = Path(__file__).resolve().parents[1]
BACKENDS = ('auto', 'torch', 'openvino', 'onnxruntime')


def whole(least: int) -> Callable[[str], int]:
    """Return what reads a whole number of at least ``least``.

    Example:
        >>> whole(1)('8')
        8
    """
    return partial(_read, Rule(True, least))


def number(least: float, most: float) -> Callable[[str], float]:
    """Return what reads a number from ``least`` to ``most``.

    Example:
        >>> number(0, 1)('0.5')
        0.5
    """
    return partial(_read, Rule(False, least, most))


def _read(rule: Rule, text: str) -> Any:
    """Read a number that a rule allows; of whole ones plain digits alone are taken, and not all that Python reads."""
    with suppress(ValueError):
        value = int(text) if rule.whole else float(text)
        if rule.allows(value) and (not rule.whole or re.fullmatch(r'[+-]?\d+', text)):
            return value
    raise ArgumentTypeError(f'expected {rule}, got {text!r}')


def add_config_options(parser: ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument('--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', default=[],
                        help='values laid over the config, by dotted key')


def add_launcher(parser: ArgumentParser) -> None:
    """Add what a launcher of several processes sets."""
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='what started the processes (default: %(default)s)')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by launchers')


def config_options(args: Namespace) -> dict[str, Any]:
    """Return the values of ``--cfg-options`` by dotted key.

    Raises:
        InputError: If one is not ``KEY=VALUE``, or its value not as Python writes it; dicts are ``{'type': 'A'}``.

    Example:
        >>> config_options(Namespace(cfg_options=['train_cfg.max_iters=3', "model.loss=[{'type': 'A'}]"]))
        {'train_cfg.max_iters': 3, 'model.loss': [{'type': 'A'}]}
    """
    options = {}
    for text in args.cfg_options:
        expect('=' in text[1:] and text[0] != '=', '--cfg-options', 'KEY=VALUE', text)
        key, _, value = text.partition('=')
        expect(not re.search(r'(^|[\s\[(,=])dict\(', value), '--cfg-options', "dicts written as {'type': 'A'}", text)
        options[key] = _read_value(value)
    return options


def _read_value(text: str) -> Any:
    """Read a value as Python writes it; else as mmengine does, ``a,b`` or ``[a,b]``; else it is text, as it stands."""
    from mmengine.config import DictAction

    with suppress(SyntaxError, ValueError):
        value = ast.literal_eval(text)
        return list(value) if isinstance(value, tuple) and text[0] != '(' else value  # 1,2
    if ' ' in text and ',' not in text and text[0] not in '[(':  # mmengine takes spaces out
        return text
    try:
        DictAction([], 'read')(ArgumentParser(), read := Namespace(), [f'key={text}'])
    except (AssertionError, RecursionError) as error:
        raise InputError(f'--cfg-options: expected a value as Python writes it, got {text!r}') from error
    return read.read['key']


def configs_folder() -> Path:
    """Return the folder of the configs, in a checkout or in an installed wheel."""
    checkout = PACKAGE.parent / 'configs'
    return checkout if (checkout / '_base_').is_dir() else PACKAGE / '.mim' / 'configs'


def find_config(name: str) -> Path:
    """Find a config file, or a config that comes with the package.

    Args:
        name: A file; or, of the package's configs, the path below ``configs/`` or the name alone; ``.py`` may be
            missing.

    Raises:
        ConfigError: If there is none, or several have the name.
        MissingPackageError: If there is none, nor mmengine, which reads configs.

    Example:
        >>> find_config('bisenetv2_bga_1xb16-10k_camvid-360x480').parent.name
        'bisenetv2'
    """
    if Path(name).is_file():
        return Path(name)
    wanted, folder = name.removesuffix('.py') + '.py', configs_folder()
    known = [path for path in sorted(folder.rglob('*.py')) if '_base_' not in path.parts]
    found = [path for path in known if wanted in (path.name, path.relative_to(folder).as_posix())]
    if len(found) != 1:
        require('mmengine')  # without it there are networks alone
        expect(name not in pretrained_names(), 'config', 'a config', f'{name}, a network with its weights')
        names = [*pretrained_names(), *(path.stem for path in known)]
        raise ConfigError(f'config: expected a file, or a name that "bisenet list" has, got {name}'
                          + nearest(Path(wanted).stem, names))
    return found[0]


def add_network(parser: ArgumentParser, runs: bool = True) -> None:
    """Add the options that choose a network and, where the command ``runs`` it, what computes it."""
    group = parser.add_argument_group('network', 'the first that comes with the package, unless one of these says '
                                      'else; it knows streets as seen from a car, by day')
    group.add_argument('--config', help='config file, or the name of one; needs --checkpoint')
    group.add_argument('--checkpoint', help='weights of the config')
    group.add_argument('--pretrained', metavar='NAME', help='network that comes with the package')
    if not runs:
        parser.set_defaults(model=None, precision='fp32')
        return
    group.add_argument('--model', metavar='PATH', help='folder or ONNX file that "export" wrote')
    group.add_argument('--device', default='cpu', help='where PyTorch computes (default: %(default)s)')
    group.add_argument('--precision', choices=('fp32', 'int8'), default='fp32',
                       help='int8 takes the INT8 graph of a network that comes with the package (default: fp32)')


def chosen_network(args: Namespace) -> tuple[str, str | None]:
    """Return the network that the options of :func:`add_network` choose, as ``Predictor`` takes it.

    Args:
        args: The options.

    Returns:
        Config and checkpoint; or the name of a network that comes with the package, or a folder, and None.

    Raises:
        InputError: If two ways are given, or half of one or an empty one, or no network comes with the package.
    """
    ways = {'--config and --checkpoint': args.config or args.checkpoint, '--pretrained': args.pretrained,
            '--model': args.model}
    for option in ('pretrained', 'model'):  # such as "$MODEL" of a shell that has none
        expect(getattr(args, option) != '', f'--{option}', 'a name', '')
    given = [way for way, value in ways.items() if value]
    if len(given) > 1:
        raise InputError(f'expected one of {", ".join(ways)}, got {" as well as ".join(given)}')
    if bool(args.config) != bool(args.checkpoint):
        lacks = 'checkpoint' if args.config else 'config'
        raise InputError(f'expected --config and --checkpoint together, got no --{lacks}')
    if args.config:
        return args.config, args.checkpoint
    network = args.pretrained or args.model or next(iter(pretrained_names()), None)
    if network is None:
        raise InputError('no network comes with this copy of the package; name one by --config and --checkpoint')
    return network, None


def open_network(args: Namespace, backend: str) -> Predictor:
    """Load the network that the options of :func:`add_network` choose.

    Args:
        args: The options.
        backend: As ``Predictor`` takes it; a folder has its own.

    Raises:
        InputError: As :func:`chosen_network`; or if ``--pretrained`` is unknown or ``--model`` is no folder.
    """
    from ..runtime import Predictor, load_pretrained

    network, weights = chosen_network(args)
    if args.pretrained:
        return load_pretrained(network, backend=backend, device=args.device, precision=args.precision)
    own = bool(args.model) and Path(network).is_dir()
    expect(not args.model or own or Path(network).is_file() and Path(network).suffix.lower() == '.onnx', '--model',
           'an existing folder or ONNX file that "export" wrote', network)
    network = str(Path(network).absolute()) if own else network  # a folder may have the name of a network
    return Predictor(network, weights, backend='auto' if own else backend, device=args.device, precision=args.precision)
