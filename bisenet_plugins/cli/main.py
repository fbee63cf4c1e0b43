"""One table of commands, and one place where a failure becomes a sentence and an exit status."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from ..errors import BisenetError, InputError, printable, told_by
from ..version import __version__
from .options import find_config

__all__ = ['COMMANDS', 'explain_failure', 'run_command', 'run_module']

COMMANDS = {
    'predict': 'segment images, folders, videos or cameras',
    'list': 'list networks and configs with size, operations and mIoU',
    'config': 'write a config here, as one readable file',
    'train': 'train a config',
    'test': 'score a checkpoint on the test set of its config',
    'check-data': 'check the dataset of a config',
    'analyze': 'write a report page: errors, pathways, Grad-CAM, confusion matrix',
    'complexity': 'count parameters and operations',
    'convert': 'convert a checkpoint of another project to ours, or ours to mmseg',
    'export': 'export a model to ONNX, OpenVINO, TensorRT, torch.export, ncnn or ExecuTorch',
    'verify': 'compare artifacts with the model that they were made from',
    'doctor': 'examine the installation',
    'demo': 'segment a drawn scene, then train on drawn scenes'}
"""Names of the commands, and what each does; ``check-data`` is the module ``check_data``."""

EXIT_INTERRUPTED = 130
EXIT_CLOSED_PIPE = 141
PATIENCE = 1.5  # seconds in which the main thread may answer Ctrl-C
_ended = threading.Event()
_sockets: list[socket.socket] = []


def run_command(command: str | None = None, argv: Sequence[str] | None = None,
                load: Callable[[], None] | None = None) -> int:
    """Run a command by its name.

    Args:
        command: The name; None takes the first word of the command line.
        argv: The command line; None takes that of the process.
        load: Loads the package, after the options are read; None where that is done.

    Returns:
        The exit status, see :func:`run_module`.
    """
    prog = None
    if command is None:
        command, argv = _split(argv)
        prog = f'bisenet {command}'
    return run_module(import_module(f'.{command.replace("-", "_")}', __package__), prog, argv, load)


def run_module(module: Any, prog: str | None = None, argv: Sequence[str] | None = None,
               load: Callable[[], None] | None = None) -> int:
    """Read a command line, run a module over it and turn a failure into one line on stderr.

    Args:
        module: Has ``add_arguments(parser)`` and ``run(args)``; its first docstring line is the description. A
            ``check(args)`` says what can be said before the package is loaded.
        prog: What the user typed, for the help; None takes the name of the script.
        argv: The command line; None takes that of the process.
        load: Loads the package, after the options are read; None where that is done.

    Returns:
        The exit status: 0 if all went well, the ``exit_code`` of a :class:`~bisenet_plugins.errors.BisenetError`, 130
        if interrupted, 141 if the reader of the output went away, else 1. Options that cannot be read exit with 2.
    """
    parser = argparse.ArgumentParser(prog, description=module.__doc__ and module.__doc__.splitlines()[0])
    module.add_arguments(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of a failure')
    args = parser.parse_args(argv)
    for name in ('stdout', 'stderr'):  # None where it is closed; what else is opened would take its number
        setattr(sys, name, stream := getattr(sys, name) or open(os.devnull, 'w'))  # noqa: SIM115
        if hasattr(stream, 'reconfigure'):  # a name that its encoding lacks must not end the work
            stream.reconfigure(errors='backslashreplace')
    how = '; '.join(filter(None, ('interrupted', getattr(module, 'RESUME', ''))))
    logging.raiseExceptions = args.debug  # a log on a full disk does not explain itself by a traceback
    try:
        _answer_interrupts(how)
        if getattr(args, 'config', None):  # what is not there is said before seconds of loading
            args.config = str(find_config(args.config))
        for path in filter(None, (getattr(args, name, None) for name in ('checkpoint', 'src'))):
            if not os.path.isfile(os.path.expanduser(path)):
                raise InputError(f'no checkpoint at {path}')
        if hasattr(module, 'check'):
            module.check(args)
        if load is not None and (getattr(module, 'NEEDS_PACKAGE', True) or getattr(args, 'config', None)):
            load()
        status = module.run(args)
        sys.stdout.flush()
        return status or 0
    except BrokenPipeError:  # as "| head" does; what Python flushes at its end must go somewhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_CLOSED_PIPE
    except (Exception, KeyboardInterrupt) as error:
        if args.debug:
            raise
        cause: Any = error
        while isinstance(cause, Exception):  # a library may have answered Ctrl-C by an error of its own
            cause = cause.__context__
        if cause is None:
            print(f'error: {explain_failure(error)}', file=sys.stderr)
            return getattr(error, 'exit_code', 1)
        for child in multiprocessing.active_children():  # data workers, which would be waited for
            child.kill()
        print(how, file=sys.stderr)
        return EXIT_INTERRUPTED
    finally:
        _ended.set()


def _answer_interrupts(how: str) -> None:
    """Let Ctrl-C end the process within two seconds, also where the main thread is deep in a long operation.

    Python answers a signal between two operations, and the backward pass of a network is one. Forked data workers end
    without a word.
    """
    _ended.clear()
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(
            signal.SIGINT) is not signal.default_int_handler:
        return
    own = os.getpid()
    heard, told = socket.socketpair()
    told.setblocking(False)

    def interrupt(*_: Any) -> None:
        if os.getpid() != own:
            os._exit(0)
        raise KeyboardInterrupt

    def watch() -> None:
        while signal.SIGINT not in heard.recv(1):
            pass
        if not _ended.wait(PATIENCE):
            print(how, file=sys.stderr, flush=True)
            os._exit(EXIT_INTERRUPTED)

    signal.signal(signal.SIGINT, interrupt)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    _sockets.extend((heard, told))
    threading.Thread(target=watch, daemon=True).start()


def _split(argv: Sequence[str] | None) -> tuple[str, list[str]]:
    """Take the command's name off a command line; ``--help`` lists the commands."""
    listed = '\n'.join(f'  {name:<16}{what}' for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        'bisenet', description='Real-time segmentation networks as parts for MMSegmentation.',
        epilog=f'commands:\n{listed}\n\n"bisenet COMMAND --help" lists the options of a command.',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--version', action='version', version=__version__)
    parser.add_argument('command', metavar='COMMAND', choices=COMMANDS, help='one of the commands below')
    parser.add_argument('options', nargs=argparse.REMAINDER, help='options of the command')
    args = parser.parse_args(argv)
    return args.command, args.options


def explain_failure(error: BaseException) -> str:
    """Turn an exception into one line that is safe to print.

    Args:
        error: What a command raised.

    Example:
        >>> explain_failure(FileNotFoundError(2, 'No such file or directory', 'a.png'))
        'a.png: No such file or directory'
        >>> explain_failure(KeyError('model'))
        "KeyError: 'model' (--debug shows where)"
    """
    if isinstance(error, OSError) and error.strerror:
        name = error.filename2 or error.filename  # of a file that is moved, the place it was meant for
        named = os.fsdecode(name) if isinstance(name, str | bytes) else ''
        text = f'{named}{": " if named else ""}{error.strerror}'
    elif isinstance(error, ModuleNotFoundError) and not isinstance(error, BisenetError):
        text = f'{error}; "bisenet doctor" says what to install'
    elif isinstance(error, BisenetError | OSError) or type(error) in (ValueError, ImportError):
        text = str(error)
    else:
        text = f'{type(error).__name__}: {error} (--debug shows where)'
    return printable(' '.join((told_by(error) if 'Original Traceback' in text else text).split()))
