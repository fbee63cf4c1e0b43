"""Convert checkpoints of other projects to this package's names, and back to mmseg's.

Read :class:`Source` first: one table per project says how names, values and options correspond. Nothing here guesses: a
name that no table knows stops the conversion before anything is written.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import CheckpointError, expect
from ...files import write_atomically
from ...version import __version__
from ..checkpoint import RefusedCheckpointError, check_tensors, load_checkpoint, plain_weights
from .projects import SOURCES
from .sources import NUM_BATCHES, PATH, Source, Weights, check_names, check_weights, different_options, refuse

OURS = 'bisenet_plugins'
TARGETS = ('ours', 'mmseg')
_AUXILIARY = 'auxiliary_head.'


@dataclass
class Conversion:
    """What a conversion made, and what there is to know about it.

    Args:
        source: Where the weights came from.
        target: Whose names they have now.
        weights: The weights, under their new names.
        dropped: How many weights were left out, by reason.
        notes: Values that were changed or added.
        config: Config, below ``configs/``, that comes nearest to the network; the class of a backbone alone.
        options: Options of our model under which both sides compute the same.
        differences: Options in which the config that was named departs from ``options``.
        absent: Auxiliary heads' weights that this config's network has beyond the file's.
        meta: Classes and colours that the file held.
    """

    source: str
    target: str
    weights: Weights
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    config: str = ''
    options: dict[str, Any] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)

    def report(self) -> list[str]:
        """Return the conversion as lines for a person."""
        lines = [f'source: {self.source}', f'target: {self.target}, {len(self.weights)} weights']
        lines += [f'dropped on purpose: {count} weights, {reason}' for reason, count in self.dropped.items()]
        lines += [f'note: {note}' for note in self.notes]
        if self.config and not self.config.endswith('.py'):
            lines += [f'a backbone alone: {self.config}(**{self.options}, init_cfg=dict(type="Pretrained", '
                      'checkpoint=...)) loads it']
        elif self.options:
            lines += [f'both compute the same with these options, over configs/{self.config}:']
            lines += [f'    model.{name} = {value!r}' for name, value in self.options.items()]
        if self.absent:
            lines += [f'not in the file, stays as initialised: {len(self.absent)} weights of auxiliary heads']
        return lines + [f'the config differs: {difference}' for difference in self.differences]


def recognise(weights: Iterable[str]) -> Source:
    """Find the project that weights come from by their names.

    Args:
        weights: Names, or a dictionary by names.

    Raises:
        CheckpointError: If no known project names its weights so.

    Example:
        >>> recognise(['detail.S1.0.conv.weight', 'segment.S1S2.conv.conv.weight']).name
        'CoinCheung/BiSeNet V2'
    """
    names = list(weights)
    for source in SOURCES:
        if _all_occur(source.marks, names):
            return source
    known = ', '.join([OURS, *(source.name for source in SOURCES)])
    raise CheckpointError(f'weights: expected those of {known}, got others, the first is {[*names, None][0]!r}')


def _all_occur(marks: Iterable[str], names: Iterable[str]) -> bool:
    """Return whether some name begins with each of the marks."""
    return all(any(name.startswith(mark) for name in names) for mark in marks)


def to_ours(weights: Mapping[str, Tensor]) -> Conversion:
    """Rename another project's weights to this package's, and change what values must change.

    Args:
        weights: Weights under their names.

    Raises:
        CheckpointError: If the source is unknown, some names have no counterpart, or a part of the network is missing.
    """
    source = recognise(weights)
    done = Conversion(source.name, OURS, {}, config=source.config)
    reasons = {name: source.reason_to_drop(name) for name in weights}
    done.dropped.update(reason for reason in reasons.values() if reason is not None)
    kept = {name: value for name, value in weights.items() if reasons[name] is None}
    needed = [prefix for prefix, _ in source.prefixes if not source.may_lack(prefix)]
    done.weights = _rename(kept, source.prefixes, needed, source.name)
    with _complete(source.name):
        done.notes += source.refine(done.weights)
        done.options = source.options(done.weights)
    for name in [name for name in done.weights if name.endswith('.running_var')]:
        done.weights.setdefault(f'{name[:-len("running_var")]}{NUM_BATCHES}', torch.tensor(0))
    return done


def to_mmseg(weights: Mapping[str, Tensor]) -> Conversion:
    """Rename this package's weights to those of mmseg's built-in network of the same form.

    Args:
        weights: Weights under our names.

    Raises:
        CheckpointError: If the weights are not ours, or of a network that mmseg has not.
    """
    known = [source for source in SOURCES if source.our_marks]
    source = next((source for source in known if _all_occur(source.our_marks, weights)), None)
    if source is None:
        names = ', '.join(source.name for source in known)
        raise CheckpointError(f'weights: expected those of {OURS} in a form that mmseg has too ({names}), got others')
    done = Conversion(OURS, source.name, dict(weights), config=source.config)
    back = tuple((ours, theirs) for theirs, ours in source.prefixes)
    needed = [ours for theirs, ours in source.prefixes if not source.may_lack(theirs)]
    _rename(weights, back, needed, source.name)  # refuses names before values are read
    with _complete(source.name):
        done.options = source.options(done.weights)
        done.notes += source.restore(done.weights)
    done.weights = _rename(done.weights, back, needed, source.name)
    return done


@contextmanager
def _complete(source: str) -> Iterator[None]:
    """Name the weight that is missing where one is not found."""
    try:
        yield
    except KeyError as error:
        raise CheckpointError(f'weights: expected a network ({source}), got none named {error.args[0]}') from error


def _rename(weights: Mapping[str, Tensor], prefixes: Iterable[tuple[str, str]], needed: Iterable[str],
            source: str) -> Weights:
    """Replace the beginning of each name, or list all names without a known one."""
    pairs = dict(prefixes)
    lengths = sorted({len(prefix) for prefix in pairs}, reverse=True)
    found = {name: next((name[:length] for length in lengths if name[:length] in pairs), '') for name in weights}
    unmatched = [name for name, prefix in found.items() if not prefix]
    refuse(f'weights: expected names with a counterpart ({source}), got {len(unmatched)} others', unmatched)
    used = {*found.values()}
    refuse(f'weights: expected a network ({source}), got none under', [name for name in needed if name not in used])
    return {pairs[found[name]] + name.removeprefix(found[name]): value for name, value in weights.items()}


def read_weights(path: str | os.PathLike[str], trust: bool = False) -> tuple[Weights, dict[str, Any]]:
    """Read the weights of a checkpoint, and the classes and colours that it names.

    Args:
        path: File with a state dict, by itself or inside a larger checkpoint.
        trust: Whether pickled objects in the file may be rebuilt, which can run any code.

    Raises:
        RefusedCheckpointError: If the file holds pickled objects and is not trusted; the message names the first.
        DamagedCheckpointError: If the file is truncated or no checkpoint.
        CheckpointError: If there are no weights in it, or an object of it cannot be rebuilt here.
    """
    loaded: Any
    try:
        loaded = load_checkpoint(path)
    except RefusedCheckpointError:
        if not trust:
            raise
        try:
            loaded = torch.load(path, map_location='cpu', weights_only=False)
        except (ImportError, AttributeError) as error:
            raise CheckpointError(f'{path}: expected objects that can be rebuilt here, got {error}') from error
    meta = None
    if isinstance(loaded, Mapping):
        meta = loaded.get('meta')
        inner = (loaded.get(key) for key in ('state_dict', 'model'))
        loaded = next((found for found in inner if isinstance(found, Mapping | nn.Module)), loaded)
    if isinstance(loaded, nn.Module):
        loaded = loaded.state_dict()
    if not isinstance(loaded, Mapping) or not loaded:
        raise CheckpointError(f'{path}: expected weights, got a {type(loaded).__name__} without any')
    check_tensors(loaded, path)
    return {name: value.detach() for name, value in plain_weights(dict(loaded)).items()}, _dataset_meta(meta)


def _dataset_meta(meta: Any) -> dict[str, Any]:
    """Keep the classes and colours of a checkpoint's meta, as mmseg 0.x and 1.x write them."""
    meta = meta if isinstance(meta, Mapping) else {}
    found = meta.get('dataset_meta') or {'classes': meta.get('CLASSES'), 'palette': meta.get('PALETTE')}
    values = {key: found.get(key) for key in ('classes', 'palette') if isinstance(found, Mapping)}
    values = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in values.items()}
    return {key: value for key, value in values.items() if isinstance(value, list | tuple) and value}


def convert_file(src: str | os.PathLike[str], dst: str | os.PathLike[str], to: str = 'ours',
                 config: str | os.PathLike[str] | None = None, trust: bool = False, dry_run: bool = False,
                 auxiliary: bool = True) -> Conversion:
    """Convert a checkpoint; the new file appears whole or not at all.

    Args:
        src: Checkpoint to read.
        dst: File to write, with ``meta`` and ``state_dict``, as mmengine loads it.
        to: ``'ours'`` or ``'mmseg'``.
        config: Config of our model; the weights under our names must be exactly its network's, save that they may hold
            no auxiliary head at all.
        trust: Whether pickled objects in ``src`` may be rebuilt.
        dry_run: Whether to do everything but write.
        auxiliary: Whether auxiliary heads, which only training needs, come along.

    Raises:
        InputError: If ``to`` is unknown or ``dst`` is ``src``.
        CheckpointError: If anything does not fit; nothing is written then.
    """
    expect(to in TARGETS, 'to', f'one of {TARGETS}', to)
    expect(Path(src).resolve() != Path(dst).resolve(), 'dst', 'another file than src', str(dst))
    weights, meta = read_weights(src, trust)
    if to == 'mmseg':
        done = to_mmseg(weights)
    elif _all_occur([f'{PATH}.'], weights):
        done = Conversion(OURS, OURS, weights, notes=['the names are ours already; only the weights are kept'])
    else:
        done = to_ours(weights)
    network = weights if to == 'mmseg' else done.weights
    if not auxiliary:
        count = len(done.weights)
        network, done.weights, done.options = map(_without_auxiliary, (network, done.weights, done.options))
        if len(done.weights) < count:
            done.dropped['auxiliary heads, as asked'] += count - len(done.weights)
    if config is None and done.config:
        check_names(network, done.config, done.options)
    elif config is not None:
        done.absent = check_weights(network, config, may_lack=_AUXILIARY)
        done.differences = different_options(config, done.options)
        if to == 'mmseg':
            refuse("config: expected options whose network computes what mmseg's does, got others", done.differences)
    done.meta = meta
    if not dry_run:  # plain tensors and text, nothing that needs pickle
        facts = dict(converted_from=done.source, converted_by=f'{OURS} {__version__}',
                     options={name: repr(value) for name, value in done.options.items()},
                     **(dict(dataset_meta=meta) if meta else {}))
        tensors = {name: value.clone() for name, value in done.weights.items()}
        torch.save(dict(meta=facts, state_dict=tensors), content := BytesIO())
        write_atomically(dst, content.getvalue())
    return done


def _without_auxiliary(by_name: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights or options but those of auxiliary heads."""
    return {name: value for name, value in by_name.items() if not name.startswith(_AUXILIARY)}
