"""Arguments are checked by annotation and by name; ``faults/test_arguments.py`` does so for every part."""

from typing import Any

import pytest

from bisenet_plugins.arguments import accepted_arguments, check_arguments, checked, describe, fits, nearest
from bisenet_plugins.errors import InputError
from bisenet_plugins.models import DetailBranch


@pytest.mark.parametrize(('value', 'kind', 'right'), [
    (1, int, True), (True, int, False), (1.0, int, False), (1, float, True), (float('inf'), float, False),
    ([1, 2], tuple[int, ...], True), ((1, 'a'), tuple[int, ...], False), (None, int | None, True), ('a', dict, False),
    ({}, dict[str, Any], True), (3, Any, True), ('ab', list[str], False)])
def test_a_value_fits_an_annotation(value, kind, right):
    assert fits(value, kind) is right


@pytest.mark.parametrize(('kind', 'words'), [
    (int | None, 'a whole number or None'), (tuple[int, int], '2 values, each a whole number'),
    (list[float], 'a list of values, each a finite number'), (float | tuple[int, int],
                                                               'a finite number, or 2 values, each a whole number')])
def test_an_annotation_in_words(kind, words):
    assert describe(kind) == words


def test_a_class_is_wrapped_once_and_keeps_its_signature():
    before = DetailBranch.__init__
    checked(DetailBranch)
    assert DetailBranch.__init__ is before and 'width_mult' in accepted_arguments(DetailBranch)


def test_positional_arguments_are_checked_too():
    with pytest.raises(InputError, match=r"DetailBranch\.in_channels: expected a whole number, got 'x'"):
        DetailBranch('x')


def test_an_unknown_argument_gets_the_nearest_name():
    with pytest.raises(InputError, match="got 'chanels'; did you mean 'channels'?"):
        check_arguments(DetailBranch, dict(chanels=1))
    with pytest.raises(InputError, match="got 'zzz'; it takes in_channels, channels"):
        check_arguments(DetailBranch, dict(zzz=1))
    assert nearest('zzz', ['abc']) == ''
