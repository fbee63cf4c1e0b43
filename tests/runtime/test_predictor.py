"""A picture goes in, its class map of the same size comes out."""

import numpy as np
import pytest
import torch

from bisenet_plugins.runtime.predictor import Predictor
from bisenet_plugins.weights import RefusedCheckpointError


@pytest.fixture
def predictor(small_config):
    predictor = Predictor(small_config)
    torch.nn.init.normal_(predictor.model.decode_head.conv_seg.weight, std=5.0)
    return predictor


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize('size', [(32, 48), (33, 61)])
def test_the_map_has_the_pictures_size(predictor, size):
    mask = predictor(picture(*size))
    assert (mask.shape, mask.dtype) == (size, np.uint8)
    assert mask.max() < 3


def test_a_list_of_any_sizes_gives_the_same_as_one_by_one(predictor):
    pictures = [picture(32, 48, 1), picture(40, 33, 2), picture(32, 48, 3)]
    masks = predictor(pictures)
    assert [mask.shape for mask in masks] == [(32, 48), (40, 33), (32, 48)]
    for mask, image in zip(masks, pictures, strict=True):
        np.testing.assert_array_equal(mask, predictor(image))
    assert predictor([]) == []


def test_it_is_mmsegs_own_answer(predictor, tmp_path):
    import mmcv
    from mmseg.apis import inference_model

    image = picture(40, 56)
    model = predictor.model
    model.cfg = predictor.cfg
    model.cfg.test_pipeline = predictor.cfg.test_dataloader.dataset.pipeline
    mmcv.imwrite(image, str(tmp_path / 'picture.png'))
    wanted = inference_model(model, str(tmp_path / 'picture.png')).pred_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(predictor(image), wanted)


def test_weights_classes_and_palette_come_from_the_checkpoint(predictor, small_config, tmp_path):
    meta = dict(dataset_meta=dict(classes=('a', 'b', 'c'), palette=[[1, 1, 1], [2, 2, 2], [3, 3, 3]]))
    state = {f'module.{name}': value for name, value in predictor.model.state_dict().items()}
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'weights.pth')
    other = Predictor(small_config, tmp_path / 'weights.pth')
    np.testing.assert_array_equal(other(picture(32, 32)), predictor(picture(32, 32)))
    assert other.classes == ('a', 'b', 'c')
    assert other.palette[2].tolist() == [3, 3, 3]


def test_without_a_checkpoint_they_come_from_the_config_or_are_made(predictor, small_config):
    assert predictor.classes == ('road', 'car', 'sky')
    assert predictor.palette[0].tolist() == [9, 8, 7]
    small_config.test_dataloader.dataset.metainfo = dict(classes=('road',))
    made = Predictor(small_config)
    assert made.classes == ('class 0', 'class 1', 'class 2')
    assert len({tuple(colour) for colour in made.palette[:3].tolist()}) == 3


def test_a_plain_state_dict_is_read_and_a_foreign_one_refused(predictor, small_config, tmp_path):
    state = predictor.model.state_dict()
    torch.save(state, tmp_path / 'plain.pth')
    np.testing.assert_array_equal(Predictor(small_config, tmp_path / 'plain.pth')(picture(32, 32)),
                                  predictor(picture(32, 32)))
    first = next(iter(state))
    torch.save({**state, first: torch.zeros(1)}, tmp_path / 'shape.pth')
    with pytest.raises(ValueError, match=f'0 weights are missing and 1 have another shape, the first is {first}'):
        Predictor(small_config, tmp_path / 'shape.pth')
    torch.save({'other': torch.zeros(1)}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match="other.pth does not fit the config's network: .* weights are missing"):
        Predictor(small_config, tmp_path / 'other.pth')


class Object:
    """Something that only pickle can rebuild."""


def test_wrong_arguments_are_named(predictor, small_config, tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no config at .*none.py'):
        Predictor(tmp_path / 'none.py')
    with pytest.raises(FileNotFoundError, match='no checkpoint at'):
        Predictor(small_config, tmp_path / 'none.pth')
    torch.save({'state_dict': {}, 'x': Object()}, tmp_path / 'object.pth')
    with pytest.raises(RefusedCheckpointError, match='Object, which only pickle can rebuild'):
        Predictor(small_config, tmp_path / 'object.pth')
    with pytest.raises(TypeError, match=r'a picture is float32 \(4, 4, 3\), a uint8 array \(H, W, C\) is wanted'):
        predictor(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(TypeError, match='a picture is str'):
        predictor(['name.png'])
    small_config.model.decode_head.num_classes = 300
    with pytest.raises(ValueError, match='300 classes, a uint8 class map holds at most 256'):
        Predictor(small_config)
