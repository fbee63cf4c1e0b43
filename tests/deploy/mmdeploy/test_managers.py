"""What the backend managers read from a deploy config."""

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
