"""Every argument of every registered part, with values that are negative, zero, not finite or of a wrong type."""

import inspect
import typing

import pytest
from mmseg import registry

import bisenet_plugins  # noqa: F401
from bisenet_plugins.arguments import RULES, fits
from bisenet_plugins.errors import InputError

NAN, INF = float('nan'), float('inf')
WRONG = (-1, 0, -0.5, 2.5, NAN, INF, 'x', True, None, (), (1,), (1, 2, 3, 4, 5, 6, 7), ('x', 'x'), (NAN, NAN),
    dict(a=1))
PARTS = sorted({part for members in vars(registry).values() if isinstance(members, registry.MODELS.__class__)
                for part in members.module_dict.values() if part.__module__.startswith('bisenet_plugins.')},
               key=lambda part: part.__name__)


def wrong_values(part, name):
    """Yield what the argument cannot be, going by its annotation and its name."""
    kind = typing.get_type_hints(part.__init__)[name]
    for value in WRONG:
        rule = RULES.get(name)
        if not fits(value, kind) or rule is not None and value is not None and not rule.allows(value):
            yield value


CASES = [pytest.param(part, name, value, id=f'{part.__name__}-{name}-{value}') for part in PARTS
         if part.__init__ is not object.__init__
         for name, parameter in inspect.signature(part.__init__).parameters.items()
         if name != 'self' and parameter.kind is not parameter.VAR_KEYWORD and parameter.kind is not
         parameter.VAR_POSITIONAL and name in typing.get_type_hints(part.__init__)
         for value in wrong_values(part, name)]


@pytest.mark.parametrize('part, name, value', CASES)
def test_a_wrong_argument_is_named(part, name, value):
    with pytest.raises(InputError) as raised:
        part(**{name: value})
    told = str(raised.value)
    assert f'{name}: expected ' in told and told.endswith(f'got {value!r}') and '\n' not in told


@pytest.mark.parametrize('part', PARTS, ids=lambda part: part.__name__)
def test_an_unknown_argument_is_named(part):
    if part.__name__ == 'AtomicCheckpointHook':
        pytest.skip('it hands what it does not know to the function that saves')
    with pytest.raises((InputError, TypeError), match=f'{part.__name__}.*(no_such_argument|takes no arguments)'):
        part(no_such_argument=1)


@pytest.mark.always
@pytest.mark.parametrize('part', PARTS, ids=lambda part: part.__name__)
def test_defaults_pass_their_own_check(part):
    hints = typing.get_type_hints(part.__init__) if part.__init__ is not object.__init__ else {}
    for name, parameter in inspect.signature(part.__init__).parameters.items():
        if name in hints and parameter.default is not inspect.Parameter.empty:
            assert fits(parameter.default, hints[name]), name
            assert name not in RULES or parameter.default is None or RULES[name].allows(parameter.default), name


def test_there_are_many():
    assert len(CASES) > 400
