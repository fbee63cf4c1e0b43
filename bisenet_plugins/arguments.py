"""Arguments of parts, checked by their annotation and by their name when a part is built."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import os
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

from .errors import InputError, expect

__all__ = ['accepted_arguments', 'check_argument', 'check_arguments', 'checked', 'nearest']


class Rule(NamedTuple):
    """What every number of an argument must be: a whole one or not, its least and its greatest value."""

    whole: bool
    least: float
    most: float = math.inf

    def __str__(self) -> str:
        kind = 'a whole number' if self.whole else 'a number'
        if self.most < math.inf:
            return f'{kind} from {self.least:g} to {self.most:g}'
        if self.least == -math.inf:
            return kind
        return f'{kind} above 0' if 0 < self.least < 1 else f'{kind} of at least {self.least:g}'

    def allows(self, value: Any) -> bool:
        """Return whether a value is such a number, or a list of such numbers."""
        if isinstance(value, tuple | list):
            return all(map(self.allows, value))
        known = isinstance(value, Integral if self.whole else Real) and not isinstance(value, bool)
        return known and self.least <= value <= self.most and abs(value) < math.inf


COUNT, NATURAL, WHOLE, NUMBER = Rule(True, 1), Rule(True, 0), Rule(True, -math.inf), Rule(False, -math.inf)
POSITIVE, WEIGHT, SHARE = Rule(False, 1e-12), Rule(False, 0), Rule(False, 0, 1)
RULES = {name: rule for rule, names in (
    (COUNT, '''accumulative_counts aggregation_channels attention_strides base_batch_size batch batch_size channels
        crop_size depths gather_kernel in_channels kernel_sizes length max_components max_epochs max_iters mid_channels
        num_blocks num_classes num_convs num_pictures out_channels projection_channels reduction scale size
        stem_channels stem_fusion_kernel stride val_interval'''),
    (NATURAL, '''brightness_delta cache_size cell_width focus_classes hue_delta min_area num_workers
        out_backbone_strides seed val_begin version'''),
    (POSITIVE, '''channel_ratio contrast_range depth_mult expand_ratio limit_gb max_norm ratio_range saturation_range
        smooth std width_mult'''),
    (WEIGHT, 'bce_weight class_weight dice_weight fusion_weights loss_weight lr wait_time weight_decay'),
    (SHARE, 'cat_max_ratio focus_prob min_kept momentum prob shift_ratio thresh threshold'),
    (WHOLE, 'ignore_index'), (NUMBER, 'mean power')) for name in names.split()}
"""By the name of an argument; where a part asks for more, it says so itself."""

WORDS = {int: 'a whole number', float: 'a finite number', bool: 'True or False', str: 'a string', dict: 'a dict',
         type(None): 'None'}


def accepted_arguments(cls: type) -> dict[str, Any]:
    """Return every keyword that a class takes with its default, following ``**kwargs`` up to its parents.

    Args:
        cls: The class to look at.

    Example:
        >>> from mmseg.models import ResNetV1c
        >>> accepted_arguments(ResNetV1c)['norm_cfg']
        {'type': 'BN', 'requires_grad': True}
    """
    return {name: parameter.default for name, parameter in _parameters(cls)[0].items()}


def _parameters(cls: type) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the keywords that a class takes, and whether it takes any other too."""
    found: dict[str, inspect.Parameter] = {}
    others = False
    for init in (vars(parent)['__init__'] for parent in cls.__mro__[:-1] if '__init__' in vars(parent)):
        parameters = list(inspect.signature(init).parameters.values())[1:]
        for p in parameters:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                found.setdefault(p.name, p)
        others = any(p.kind is p.VAR_KEYWORD for p in parameters)
        if not others:
            break
    return found, others


def nearest(name: Any, known: Iterable[str], alike: float = 0.6) -> str:
    """Return the question after a name that resembles a wrong one, or nothing.

    Args:
        name: The wrong name.
        known: The names that there are.
        alike: How much alike two names must be, from 0 to 1.

    Example:
        >>> nearest('optim_wraper', ['model', 'optim_wrapper'])
        "; did you mean 'optim_wrapper'?"
    """
    near = difflib.get_close_matches(str(name), [*known], 1, alike)
    return f'; did you mean {near[0]!r}?' if near else ''


def fits(value: Any, kind: Any) -> bool:
    """Return whether a value is what an annotation says; what is no plain value is left to its class.

    Args:
        value: The value; lists stand for tuples, as in configs.
        kind: The annotation.

    Example:
        >>> fits([1, 2], tuple[int, int]), fits([1], tuple[int, int]), fits(float('nan'), float), fits(True, int)
        (True, False, False, False)
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if kind in (int, float):
        return not isinstance(value, tuple | list) and (WHOLE if kind is int else NUMBER).allows(value)
    if kind is str:
        return isinstance(value, str | os.PathLike)
    if origin in (tuple, list, Sequence):
        if not isinstance(value, tuple | list | range):
            return False
        if origin is tuple and Ellipsis not in inner:
            return len(value) == len(inner) and all(map(fits, value, inner))
        return all(fits(one, inner[0]) for one in value)
    if (origin or kind) is dict:
        return isinstance(value, Mapping)
    return kind is Any or not isinstance(kind, type) or isinstance(value, kind)


def describe(kind: Any) -> str:
    """Say in words what an annotation asks for.

    Args:
        kind: The annotation.

    Example:
        >>> describe(tuple[int, int] | None)
        '2 values, each a whole number, or None'
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        words = [describe(one) for one in inner]
        return (', or ' if any(',' in word for word in words) else ' or ').join(words)
    if origin in (tuple, list, Sequence):
        number = len(inner) if origin is tuple and Ellipsis not in inner else 'a list of'
        return f'{number} values, each {describe(inner[0])}'
    return WORDS.get(origin or kind) or str(getattr(kind, '__name__', kind))


def check_argument(name: str, value: Any, place: str = '') -> None:
    """Refuse a number that its argument's name rules out.

    Args:
        name: The argument.
        value: Its value; None and arguments without a rule pass.
        place: What stands before the name in the error.

    Raises:
        InputError: If a number is too small, too great, not finite or none.

    Example:
        >>> check_argument('width_mult', 0.0)
        Traceback (most recent call last):
        bisenet_plugins.errors.InputError: width_mult: expected a number above 0, got 0.0
    """
    if value is not None and (rule := RULES.get(name)) is not None:
        expect(rule.allows(value), f'{place}{name}', str(rule), value)


def check_arguments(cls: type, given: Mapping[str, Any]) -> None:
    """Refuse arguments that a class does not take, or that are not what its annotations and their names ask for.

    Args:
        cls: The class.
        given: Arguments by name.

    Raises:
        InputError: If one is unknown or wrong; the sentence has class, argument, what was expected, and value.
    """
    known, others = _parameters(cls)
    kinds = _annotations(cls)
    for name, value in given.items():
        if name not in known and not others:
            raise InputError(f'{cls.__name__}: expected one of its arguments, got {name!r}'
                             + (nearest(name, known) or f'; it takes {", ".join(known)}'))
        if name in kinds:
            expect(fits(value, kinds[name]), f'{cls.__name__}.{name}', describe(kinds[name]), value)
        if cls.__module__.startswith('bisenet_plugins'):  # an argument of that name may mean something else elsewhere
            check_argument(name, value, f'{cls.__name__}.')


@functools.cache
def _annotations(cls: type) -> dict[str, Any]:
    """Return the annotations of a class's own arguments."""
    try:
        return typing.get_type_hints(vars(cls)['__init__'])
    except (KeyError, NameError):  # no own arguments, or a name that only type checkers import
        return {}


def checked(cls: type) -> None:
    """Make a class check its arguments whenever it is built; more than once is a no-op.

    Args:
        cls: The class, changed in place.

    Example:
        >>> class Part:
        ...     def __init__(self, channels: int) -> None: ...
        >>> checked(Part)
        >>> Part('8')
        Traceback (most recent call last):
        bisenet_plugins.errors.InputError: Part.channels: expected a whole number, got '8'
    """
    init: Any = vars(cls).get('__init__') or cls.__init__  # type: ignore[misc]
    if getattr(init, 'checks', None) is cls or init is object.__init__:
        return
    names = [*inspect.signature(init).parameters][1:]

    @functools.wraps(init)
    def check_and_init(self: Any, *args: Any, **kwargs: Any) -> None:
        check_arguments(cls, {**dict(zip(names, args)), **kwargs})
        init(self, *args, **kwargs)

    check_and_init.checks = cls  # type: ignore[attr-defined]
    cls.__init__ = check_and_init  # type: ignore[misc, method-assign]
