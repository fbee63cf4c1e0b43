"""Labels outside the classes end a run and are named."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from bisenet_plugins.engine import LabelCheckHook
from bisenet_plugins.engine.launch import load_config, prepare_test, prepare_training, run_test, run_training
from bisenet_plugins.errors import InputError

RUNNER = SimpleNamespace(model=SimpleNamespace(num_classes=3, decode_head=SimpleNamespace(ignore_index=255)))


def batch(label, path='a.png'):
    sample = SegDataSample(metainfo=dict(seg_map_path=path))
    sample.gt_sem_seg = PixelData(data=torch.as_tensor(label)[None])
    return dict(data_samples=[sample])


@pytest.mark.parametrize('step', ['before_train_iter', 'before_val_iter', 'before_test_iter'])
def test_an_id_outside_the_classes_is_named(step):
    check = getattr(LabelCheckHook(), step)
    check(RUNNER, 0, batch([[0, 2], [255, 1]]))
    with pytest.raises(InputError, match='a.png: expected class ids from 0 to 2, or 255 .*, got 3, 7'):
        check(RUNNER, 0, batch([[0, 3], [7, 1]]))
    with pytest.raises(InputError, match='a.png'):  # variants of one image
        check(RUNNER, 0, dict(data_samples=[batch([[9, 9]])['data_samples']]))


def test_a_label_is_named_where_8_bits_do_not_hold_it(tmp_path):
    for name, most in (('fits.png', 2), ('deep.png', 258)):
        Image.fromarray(np.array([[0, most]], np.uint16)).save(tmp_path / name)
    for number, most in enumerate((0.5, float('nan'), -1.0)):
        Image.fromarray(np.array([[0, most]], np.float32)).save(tmp_path / f'float{number}.tif')
    hook = LabelCheckHook()
    hook.before_train_iter(RUNNER, 0, batch([[0, 2]], str(tmp_path / 'fits.png')))
    with pytest.raises(InputError, match='deep.png: expected .* got a label of uint16 with 258'):
        hook.before_train_iter(RUNNER, 0, batch([[0, 2]], str(tmp_path / 'deep.png')))
    for number in range(3):
        with pytest.raises(InputError, match=f'float{number}.tif: expected whole class ids .* got a label of float32'):
            hook.before_train_iter(RUNNER, 0, batch([[0, 0]], str(tmp_path / f'float{number}.tif')))


def test_every_training_and_test_has_it(trained, tmp_path):
    """The scenes have eleven classes."""
    options = {'model.decode_head.num_classes': 4, 'train_dataloader.num_workers': 0,
               'train_dataloader.persistent_workers': False}
    with pytest.raises(InputError, match='street_scene_.*: expected class ids from 0 to 3'):
        run_training(prepare_training(load_config(trained[0], tmp_path / 'a', options)))
    cfg = load_config(trained[0], tmp_path / 'b', options)
    state = torch.load(trained[1] / 'iter_4.pth', weights_only=False)['state_dict']
    state = {name: value[:4] if 'conv_seg' in name else value for name, value in state.items()}
    torch.save(dict(state_dict=state), tmp_path / 'four.pth')
    with pytest.raises(InputError, match='street_scene_.*: expected class ids from 0 to 3'):
        run_test(prepare_test(cfg, tmp_path / 'four.pth'))
