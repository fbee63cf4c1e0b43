"""Model configs as mmdeploy expects them."""

import pytest

from tests.deploy.conftest import needs, tiny_config

pytestmark = needs('mmdeploy')


@pytest.mark.parametrize(('size', 'kinds'), [
    (None, ['LoadImageFromFile', 'PackSegInputs']), ((128, 64), ['LoadImageFromFile', 'Resize', 'PackSegInputs']),
])
def test_a_copy_is_filled_in(size, kinds):
    from bisenet_plugins.deploy.mmdeploy.task import prepare_model_config
    config = tiny_config()
    made = prepare_model_config(config, size)
    assert [step['type'] for step in made.test_pipeline] == kinds
    assert made.data_preprocessor == config.model.data_preprocessor
    assert 'data_preprocessor' not in config
