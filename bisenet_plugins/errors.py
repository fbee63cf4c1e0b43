"""The errors of this project, each with the exit status of a command that fails with it, and the check of packages.

Each class is also the built-in error that a caller of the library expects (``ValueError`` for a bad argument), so that
neither a command nor a notebook needs to know this module.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ['AgreementError', 'BisenetError', 'CheckpointError', 'ConfigError', 'DamagedCheckpointError', 'DeployError',
           'DivergedError', 'InputError', 'MissingPackageError', 'NoGpuError', 'TerminatedError',
           'UnsupportedOperatorError', 'expect', 'printable', 'raised_as', 'require', 'told_by']

# The extra of this project that brings a package, by the package's import name.
EXTRAS = {'mmdeploy': 'deploy', 'nncf': 'int8', 'onnx': 'deploy', 'onnxruntime': 'runtime', 'onnxscript': 'deploy',
          **dict.fromkeys(('mmengine', 'mmseg', 'torch', 'yaml'), 'onedl'), 'pnnx': 'ncnn',
          'tensorrt_rtx': 'tensorrt-rtx',
          **{name: name for name in ('openvino', 'ncnn', 'executorch', 'tensorrt', 'mmpretrain', 'timm')}}


class BisenetError(Exception):
    """Something that a user can put right; the message is one sentence that says what was expected and what came."""

    exit_code = 1
    """Exit status of a command that fails with this error."""


class ConfigError(BisenetError, ValueError):
    """A config, or what a command line lays over it, that cannot be built or run."""


class InputError(BisenetError, ValueError):
    """An argument, an option, an image or a label that is missing, damaged or of the wrong kind."""


class CheckpointError(BisenetError, RuntimeError):
    """Weights that are missing, damaged, unsafe to read, or of another network."""


class DamagedCheckpointError(CheckpointError):
    """A file that is truncated, or no checkpoint at all."""


class MissingPackageError(BisenetError, ImportError):
    """An optional package that the chosen backend, precision or engine needs is not installed."""


class DivergedError(BisenetError, RuntimeError):
    """A training whose loss or weights are no longer finite numbers."""

    exit_code = 3


class TerminatedError(BisenetError):
    """A training that ended because its process was told to, with SIGTERM."""

    exit_code = 143


class DeployError(BisenetError, RuntimeError):
    """A model that cannot be exported, or an artifact that cannot be read or run."""


class NoGpuError(DeployError):
    """The chosen backend needs an NVIDIA GPU and this machine has none."""


class UnsupportedOperatorError(DeployError):
    """An operator of the model has no counterpart in the exporter or in the backend."""


class AgreementError(DeployError):
    """An artifact differs from the PyTorch model by more than its precision allows."""


def expect(holds: bool, name: str, expected: str, got: Any) -> None:
    """Refuse an argument that is not what it must be.

    Args:
        holds: Whether it is.
        name: The argument.
        expected: What it must be.
        got: What it is.

    Raises:
        InputError: If ``holds`` is false.

    Example:
        >>> expect(0 < 1, 'depth', 'a positive number', 1)
        >>> expect(0 < 0, 'depth', 'a positive number', 0)
        Traceback (most recent call last):
        bisenet_plugins.errors.InputError: depth: expected a positive number, got 0
    """
    if not holds:
        raise InputError(f'{name}: expected {expected}, got {got!r}')


def require(*modules: str) -> None:
    """Refuse to go on where a package is not installed.

    Args:
        modules: Import names.

    Raises:
        MissingPackageError: If one is missing; the sentence names the extra and the pip line.

    Example:
        >>> require('importlib')
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            extra = EXTRAS.get(module)
            source = f"; it comes with the extra '{extra}'" if extra else ''
            line = 'pip install ' + (f"'bisenet-plugins[{extra}]'" if extra else module)
            if module == 'mmdeploy':
                line += ' && pip install --no-deps mmdeploy==1.3.1'
            raise MissingPackageError(f'{module} is not installed{source}: {line}', name=module)


def told_by(error: BaseException) -> str:
    r"""Return the line of an error's message that says what happened.

    Args:
        error: The error; of one that a data worker passed on, with its traceback as text, the last line counts.

    Example:
        >>> told_by(ValueError('expected a\ngot b')), told_by(KeyError())
        ('expected a', 'KeyError')
        >>> told_by(ValueError('Caught in worker 0.\nOriginal Traceback (most recent call last):\nValueError: a'))
        'ValueError: a'
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1 if 'Original Traceback' in str(error) else 0].strip()


@contextmanager
def raised_as(kind: type[BisenetError], what: str, caught: type[Exception] = Exception) -> Iterator[None]:
    """Turn an error inside the block into one of this project; many packages have no class of their own for theirs.

    Args:
        kind: The class to raise.
        what: What failed; the line that says why follows.
        caught: The class to turn.

    Example:
        >>> with raised_as(DeployError, 'a.onnx'):
        ...     float('b')
        Traceback (most recent call last):
        bisenet_plugins.errors.DeployError: a.onnx: could not convert string to float: 'b'
    """
    try:
        yield
    except caught as error:
        raise kind(f'{what}: {told_by(error)}') from error


def printable(text: str) -> str:
    r"""Return a text that does nothing to a terminal but appear on it.

    Args:
        text: Whatever a file is called, or a message with it.

    Example:
        >>> print(printable('a\x1b[2J.png'))
        a\x1b[2J.png
    """
    return ''.join(character if character.isprintable() else repr(character)[1:-1] for character in text)
