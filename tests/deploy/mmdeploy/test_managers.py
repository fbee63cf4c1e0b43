"""What the backend managers read from a deploy config."""

import types

import pytest

from bisenet_plugins.errors import InputError
from tests.deploy.conftest import needs

pytestmark = needs('mmdeploy')


@pytest.mark.parametrize(('backend', 'precision'), [
    (dict(), 'fp32'), (dict(precision='FP16'), 'fp16'), (dict(common_config=dict(int8_mode=True)), 'int8'),
    (dict(common_config=dict(fp16_mode=True)), 'fp16'),
])
def test_precision_is_read_in_both_words(backend, precision):
    from bisenet_plugins.deploy.mmdeploy.managers import precision_of
    assert precision_of(dict(backend_config=dict(type='openvino', **backend))) == precision


def test_an_unknown_precision_is_refused():
    from bisenet_plugins.deploy.mmdeploy.managers import precision_of
    with pytest.raises(InputError, match="precision: expected one of .*, got 'int4'"):
        precision_of(dict(backend_config=dict(type='openvino', precision='int4')))


@pytest.mark.parametrize('quick', [
    pytest.param(True, id='quick'), pytest.param(False, id='mmdeploys_own', marks=pytest.mark.slow)])
def test_rewritten_functions_are_replaced_wherever_they_are_held_and_come_back(quick):
    """The quick search for references finds the places that mmdeploy's own finds."""
    import contextlib

    from mmdeploy.core import FUNCTION_REWRITER, RewriterContext

    from bisenet_plugins.deploy.mmdeploy.managers import quiet_mmdeploy
    context = RewriterContext({}, backend='onnxruntime')
    with context:
        originals = tuple(item['origin_func'] for item in FUNCTION_REWRITER._origin_functions)  # no list: it stays
    module = types.ModuleType('module_of_a_test')
    listed = list(originals)
    vars(module).update({f'function{i}': function for i, function in enumerate(originals)})
    for _ in range(2 if quick else 1):
        with quiet_mmdeploy() if quick else contextlib.nullcontext():
            with context:
                replaced = [listed[i] is not function for i, function in enumerate(originals)]
                assert [vars(module)[f'function{i}'] for i in range(len(originals))] == listed
                late = list(listed)  # as of a module that is imported during the export
        assert sum(replaced) > 3
        assert all(got is expected for got, expected in zip(listed, originals, strict=True))
        assert all(got is expected for got, expected in zip(late, originals, strict=True))
