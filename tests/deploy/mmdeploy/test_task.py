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


def task(**codebase):
    from mmengine import Config

    from bisenet_plugins.deploy.mmdeploy.task import BilateralSegmentation
    deploy = dict(onnx_config=dict(input_shape=[96, 64]), backend_config=dict(type='onnxruntime'),
                  codebase_config=dict(type='mmseg', task='Segmentation', **codebase))
    return BilateralSegmentation(tiny_config(), Config(deploy), 'cpu')


def test_images_of_a_dataset_get_the_static_size():
    from mmengine import ConfigDict
    steps = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(48, 32), keep_ratio=True),
             dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    given = ConfigDict(type='StreetSceneDataset', length=1, size=(32, 48), pipeline=steps)
    sample = task().build_dataset(given)[0]
    assert sample['inputs'].shape == (3, 64, 96)
    assert sample['data_samples'].gt_sem_seg.shape == (32, 48)
    assert given.pipeline == steps


def test_a_self_contained_graph_gets_bytes_and_gives_masks():
    import numpy as np
    import torch

    from bisenet_plugins.deploy.mmdeploy.managers import BackendWrapper
    network = dict(type='SegDataPreProcessor', mean=[1.0] * 3, std=[2.0] * 3, bgr_to_rgb=True)
    assert task().update_data_preprocessor(network) == network
    bytes_only = dict(type='SegDataPreProcessor', bgr_to_rgb=False)
    assert task(self_contained=dict(channel_order='bgr')).update_data_preprocessor(network) == bytes_only

    def backend(inputs):
        assert inputs.dtype == np.uint8
        return inputs[..., 0]

    image = torch.arange(24.0).reshape(1, 3, 2, 4)
    masks = BackendWrapper(backend, contained=True)({'input': image})['output']
    torch.testing.assert_close(masks, image[:, :1].byte())
