"""Read checkpoints without ever running code from them, and find the one to resume from.

``torch.load`` stays at ``weights_only=True`` everywhere. Checkpoints of mmengine carry, beside tensors, the histories
of its message hub; the few classes those need are allowed by name while such a file is read, and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import CheckpointLoader
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ..errors import CheckpointError, DamagedCheckpointError

__all__ = ['DamagedCheckpointError', 'RefusedCheckpointError', 'check_tensors', 'find_resumable', 'first_non_finite',
           'load_checkpoint', 'load_weights', 'plain_weights', 'weights_only_checkpoints']

_FORCE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'


class RefusedCheckpointError(CheckpointError):
    """A checkpoint that can only be read by running code stored inside it."""


def safe_classes() -> list[Any]:
    """Return what mmengine's own checkpoints hold beside tensors: histories of scalars and plain numpy values.

    Returns:
        Classes and functions for ``torch.serialization.safe_globals``. A function that must be known under a second
        name (numpy 1 and numpy 2 call the same module differently) comes as a pair of function and name.
    """
    core = getattr(np, '_core', None) or np.core
    dtypes = sorted({type(np.dtype(kind)) for kind in '?bBhHiIlLqQefdU'}, key=lambda kind: kind.__name__)
    named = [(function, f'{place}.multiarray.{function.__name__}') for place in ('numpy.core', 'numpy._core')
             for function in (core.multiarray._reconstruct, core.multiarray.scalar)]
    return [HistoryBuffer, np.ndarray, np.dtype, *dtypes, *named, (_statistic_of_history, 'builtins.getattr')]


def _statistic_of_history(owner: Any, name: str) -> Any:
    """Answer the one use of ``getattr`` in mmengine's checkpoints: a history's own statistics.

    The real ``getattr`` leads from any class to the whole interpreter, so it stays locked.
    """
    if owner is HistoryBuffer and name in ('min', 'max', 'mean', 'current'):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'Unsupported global: GLOBAL builtins.getattr of {owner!r}, {name!r}')


def load_checkpoint(path: str | os.PathLike[str], map_location: Any = 'cpu') -> dict[str, Any]:
    """Read a checkpoint with ``weights_only=True``.

    Args:
        path: File written by mmengine or by ``torch.save`` of a state dict, or a ``.safetensors`` file.
        map_location: Where the tensors go, as in ``torch.load``.

    Returns:
        The dictionary that the file holds; the weights of a safetensors file stand under ``state_dict``.

    Raises:
        FileNotFoundError: If there is no such file.
        RefusedCheckpointError: If the file needs pickle, that is, would run code when read.
        DamagedCheckpointError: If the file is truncated, or holds no dictionary of tensors by name.

    Note:
        A file of an older project that stores whole objects is refused; the sentence names the first such object.

    Example:
        >>> import tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), 'weights.pth')
        >>> torch.save({'weight': torch.ones(2)}, path)
        >>> load_checkpoint(path)
        {'weight': tensor([1., 1.])}
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'no checkpoint at {path}')
    try:
        if path.suffix == '.safetensors':
            return dict(state_dict=load_file(path, device=str(map_location or 'cpu')))
        _check_bytes(path)
        with torch.serialization.safe_globals(safe_classes()):
            loaded = torch.load(path, map_location=map_location, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError,
            SafetensorError, zipfile.BadZipFile) as error:
        raise _explain(path, error) from error
    for found in (loaded, loaded.get('state_dict', {}) if isinstance(loaded, dict) else {}):
        if not isinstance(found, dict):
            raise DamagedCheckpointError(f'{path}: expected a dictionary of weights, got a {type(found).__name__}')
    return loaded


def check_tensors(state: Mapping[Any, Any], origin: Any) -> None:
    """Refuse names that are no strings, and weights that are no tensors or hold no values side by side.

    Args:
        state: Weights by name.
        origin: Where they come from, for error messages.

    Raises:
        DamagedCheckpointError: If one is anything else.

    Example:
        >>> check_tensors(dict(weight=[1.0]), 'a.pth')
        Traceback (most recent call last):
        bisenet_plugins.errors.DamagedCheckpointError: a.pth: expected plain tensors, got a list as 'weight'
    """
    for name, value in state.items():
        if not isinstance(name, str):
            raise DamagedCheckpointError(f'{origin}: expected weights by name, got the {type(name).__name__} {name!r}')
        if not (torch.is_tensor(value) and value.layout == torch.strided and not value.is_meta):
            kind = f'{"meta" if value.is_meta else "sparse"} tensor' if torch.is_tensor(value) else type(value).__name__
            raise DamagedCheckpointError(f'{origin}: expected plain tensors, got a {kind} as {name!r}')


def _check_bytes(path: Path) -> None:
    """Compare a file's bytes with the checksums in it, which torch.load does not; files of old formats have none."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise DamagedCheckpointError(f'{path}: expected the bytes that were written, got others in {damaged}')


def _explain(path: Path, error: Exception) -> RuntimeError:
    """Return the error of a file that was refused or is damaged."""
    if match := re.search(r'GLOBAL ([\w.<>]+)', str(error)):
        return RefusedCheckpointError(
            f'{path}: expected plain tensors, got {match.group(1)}, which only pickle can rebuild, and pickle can run '
            'any code; if you trust the file, convert it with "tools/model_converters/convert_weights.py --trust", or '
            'save only the state_dict where it was made')
    unpickler = re.search(r'WeightsUnpickler error: (.*)', str(error))  # torch's other lines advise to run any code
    reason = unpickler[1] if unpickler else (str(error).strip().splitlines() or [type(error).__name__])[0]
    reason = reason or (f'it begins with {path.read_bytes()[:16]!r}' if path.is_file() else type(error).__name__)
    return DamagedCheckpointError(f'{path}: expected a checkpoint, got a truncated or foreign file ({reason})')


@contextlib.contextmanager
def weights_only_checkpoints() -> Iterator[None]:
    """Make every load inside the block, mmengine's included, keep ``weights_only=True``.

    Local files go through :func:`load_checkpoint`; other loads (a URL in ``init_cfg``) are held to
    ``weights_only=True`` by torch's own switch ``TORCH_FORCE_WEIGHTS_ONLY_LOAD``.

    Raises:
        RefusedCheckpointError: If a file loaded inside the block needs pickle.

    Note:
        Without this, the classic mmengine cannot resume from its own checkpoints with torch 2.6 and later, and the
        onedl one answers a refused file by reading it with pickle.
    """
    previous_loader = CheckpointLoader._schemes['']
    previous_switch = os.environ.get(_FORCE)
    CheckpointLoader.register_scheme('', _load_from_local, force=True)
    os.environ[_FORCE] = '1'
    try:
        with torch.serialization.safe_globals(safe_classes()):
            yield
    except pickle.UnpicklingError as error:
        raise _explain(Path('a checkpoint that the config names'), error) from error
    finally:
        CheckpointLoader.register_scheme('', previous_loader, force=True)
        if previous_switch is None:
            os.environ.pop(_FORCE, None)
        else:
            os.environ[_FORCE] = previous_switch


def _load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Stand in for mmengine's reader of local files."""
    return load_checkpoint(filename, map_location)


def find_resumable(work_dir: str | os.PathLike[str]) -> Path | None:
    """Find the newest checkpoint of a run that can be read to its end.

    Args:
        work_dir: Folder of the run, with ``last_checkpoint`` and the ``iter_*.pth`` or ``epoch_*.pth`` files.

    Returns:
        The checkpoint to resume from, or None where the folder has none at all.

    Raises:
        RefusedCheckpointError: If the newest checkpoint needs pickle.
        DamagedCheckpointError: If there are checkpoints and none of them can be read.

    Note:
        Each damaged file is named in a warning, and the one before it is tried.
    """
    folder = Path(work_dir)
    steps = {path: int(match[1]) for kind in ('iter', 'epoch') for path in folder.glob(f'{kind}_*.pth')
             if (match := re.search(r'_(\d+)\.pth$', path.name))}
    candidates = sorted(steps, key=steps.__getitem__, reverse=True)
    pointer = folder / 'last_checkpoint'
    if pointer.is_file():
        text = pointer.read_text(encoding='utf-8', errors='replace').replace('\0', '').strip()
        # A run that was moved or copied finds its own files; the recorded folder counts where it has none.
        pointed = next((place for place in (folder / Path(text).name, Path(text)) if place.is_file()), None)
        if pointed is not None:
            candidates = [pointed, *(path for path in candidates if path.resolve() != pointed.resolve())]
        elif text:
            print_log(f'{pointer} names {text}, which is not there', logger='current', level=logging.WARNING)
    for path in candidates:
        try:
            held = load_checkpoint(path)
            if not {'meta', 'state_dict'} <= {*held} or not {'optimizer', 'iter'} & {*held, *held['meta']}:
                raise DamagedCheckpointError(f'{path}: expected a checkpoint of a training, got weights alone')
            if 'optimizer' not in held:
                print_log(f'{path} holds no state of the optimizer, which starts from zero', 'current', logging.WARNING)
        except DamagedCheckpointError as error:
            print_log(f'{error}; the checkpoint before it is tried', logger='current', level=logging.WARNING)
        else:
            return path
    if candidates:
        raise DamagedCheckpointError(f'{folder}: expected a checkpoint, got damaged {[p.name for p in candidates]}')
    return None


def plain_weights(loaded: dict[str, Any]) -> dict[str, Any]:
    """Return the weights of a checkpoint under the network's own names.

    Args:
        loaded: A state dict, or a dictionary that holds one as ``state_dict``.

    Note:
        Prefixes of wrappers are removed: ``module.`` of data parallel training, ``_orig_mod.`` of ``torch.compile``.

    Example:
        >>> list(plain_weights(dict(state_dict={'module._orig_mod.a.weight': 1})))
        ['a.weight']
    """
    state = loaded.get('state_dict', loaded)
    return {re.sub(r'^(module\.|_orig_mod\.)+', '', str(name)): value for name, value in state.items()}


def load_weights(model: nn.Module, loaded: dict[str, Any], origin: str) -> None:
    """Load a checkpoint's weights into a network; only auxiliary heads may be missing.

    Args:
        model: The network.
        loaded: As from :func:`load_checkpoint`.
        origin: Where it comes from, for error messages.

    Raises:
        CheckpointError: If weights are missing, are no plain tensors, have another shape, or are not finite numbers.
    """
    state = plain_weights(loaded)
    own = model.state_dict()
    shared = {name: state[name] for name in own if name in state}
    check_tensors(shared, origin)
    wrong = [name for name, value in shared.items() if own[name].shape != value.shape or
             own[name].is_floating_point() != value.is_floating_point()]
    spare = ('auxiliary_head', 'num_batches_tracked')
    missing = [name for name in own if name not in state and not any(part in name for part in spare)]
    if wrong or missing:
        raise CheckpointError(f"{origin}: expected the weights of the config's network, got {len(missing)} missing and "
                              f'{len(wrong)} of another shape, the first is {(wrong or missing)[0]}')
    if (broken := first_non_finite(shared)) is not None:
        raise CheckpointError(f'{origin}: expected finite weights and variances above 0, got others in {broken}')
    unexpected = model.load_state_dict(state, strict=False).unexpected_keys
    if surplus := [name for name in unexpected if not name.startswith('auxiliary_head')]:
        print_log(f'{len(surplus)} weights of {origin} are not used, the first is {surplus[0]}', logger='current')


def first_non_finite(state: Mapping[str, Any]) -> str | None:
    """Return the name of the first weight that holds NaN or infinity, or a negative variance, or None.

    Args:
        state: Weights by name.

    Example:
        >>> first_non_finite(dict(a=torch.ones(2), b=torch.tensor([1.0, float('nan')])))
        'b'
    """
    return next((name for name, value in state.items() if torch.is_tensor(value) and value.is_floating_point()
                 and (not torch.isfinite(value).all() or name.endswith('running_var') and (value < 0).any())), None)
