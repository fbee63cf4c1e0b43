"""Properties over drawn inputs: images of any size, type and memory layout, masks of any geometry, edited configs."""

import copy
import os
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import Config

from bisenet_plugins import Predictor, upsample_argmax
from bisenet_plugins.config import check_config
from bisenet_plugins.engine.launch import prepare_training, run_training
from bisenet_plugins.errors import BisenetError, InputError
from tests.conftest import CONFIG, ROOT

from .conftest import SMALL

QUICK = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
SIDES = st.integers(1, 80)
LAYOUTS = dict(
    plain=lambda image: image, transposed=lambda image: np.ascontiguousarray(image.transpose(1, 0, 2)).transpose(1,
        0, 2),
    fortran=np.asfortranarray, reversed=lambda image: np.ascontiguousarray(image[::-1])[::-1],
    strided=lambda image: np.repeat(np.repeat(image, 2, 0), 2, 1)[::2, ::2],
    channels_first=lambda image: np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0))


def frozen(image):
    image = image.copy()
    image.flags.writeable = False
    return image


LAYOUTS['read_only'] = frozen


@pytest.fixture(scope='module')
def cfg(tmp_path_factory):
    path = tmp_path_factory.mktemp('properties') / 'c.py'
    path.write_text(CONFIG.format(base=str(ROOT / 'configs' / '_base_' / 'default_runtime.py')) + SMALL)
    return Config.fromfile(path)


@pytest.fixture(scope='module')
def predictor(cfg):
    torch.manual_seed(0)
    return Predictor(cfg, backend='torch')


@QUICK
@given(height=SIDES, width=SIDES, layout=st.sampled_from(sorted(LAYOUTS)), seed=st.integers(0, 99))
def test_a_mask_has_the_image_s_size_whatever_its_memory_looks_like(predictor, height, width, layout, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = predictor(LAYOUTS[layout](image))
    assert mask.shape == (height, width) and mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, predictor(image))


@QUICK
@given(shape=st.lists(st.integers(0, 9), max_size=5), kind=st.sampled_from(
    ['uint8', 'int8', 'uint16', 'int64', 'float32', 'float64', 'bool', 'complex64', 'U3', 'O']))
def test_what_is_no_image_is_refused_by_its_shape_and_type(predictor, shape, kind):
    image = np.zeros(shape, kind)
    if kind == 'uint8' and len(shape) == 3 and min(shape) > 0 and shape[2] == 3:
        assert predictor(image).shape == tuple(shape[:2])
    else:
        with pytest.raises(InputError, match='expected'):
            predictor(image)


@QUICK
@given(batch=st.integers(1, 3), classes=st.integers(2, 20), small=st.tuples(st.integers(1, 12), st.integers(1, 12)),
       large=st.tuples(st.integers(1, 90), st.integers(1, 90)), align=st.booleans(), seed=st.integers(0, 99),
       kind=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]), layout=st.sampled_from(['plain',
           'last', 'view']))
def test_the_fast_mask_is_the_argmax_of_the_resized_logits(batch, classes, small, large, align, seed, kind, layout):
    logits = torch.randn(batch, classes, *small, generator=torch.Generator().manual_seed(seed)).to(kind)
    given_ = logits.to(memory_format=torch.channels_last) if layout == 'last' else (
        logits.transpose(2, 3).contiguous().transpose(2, 3) if layout == 'view' else logits)
    mask = upsample_argmax(given_, large, align)
    whole = F.interpolate(logits.float() if kind == torch.bfloat16 else logits, large, mode='bilinear',
        align_corners=align)
    assert mask.shape == (batch, *large)
    best, chosen = whole.max(1).values, whole.gather(1, mask[:, None].long())[:, 0]
    torch.testing.assert_close(chosen, best, atol=2e-2 if kind == torch.bfloat16 else 1e-5, rtol=1e-5)


VALUES = st.one_of(st.integers(-3, 12), st.sampled_from([None, True, False, 'x', '', 0.5, float('nan'), -0.1, [],
    [1, 2],
                                                         {}, 'BN', 'SGD', 1e30]))


def places(node, path=()):
    """Yield the path of every value in a config."""
    for key, value in (node.items() if isinstance(node, dict) else enumerate(node)):
        yield (*path, key)
        if isinstance(value, dict | list | tuple):
            yield from places(value, (*path, key))


@settings(QUICK, max_examples=60)
@given(data=st.data())
def test_a_random_edit_trains_a_step_or_is_refused(cfg, tmp_path_factory, data):
    edited = copy.deepcopy(cfg)
    edited.work_dir = str(tmp_path_factory.mktemp('edit'))
    edited.train_cfg.update(max_iters=1, val_interval=1)
    outside = ('env_cfg', 'work_dir', 'custom_imports', 'tta_pipeline', 'pipeline', 'test_pipeline')
    known = [path for path in places(edited._cfg_dict) if path[0] not in outside and path[-1] not in ('max_iters',)]
    path = data.draw(st.sampled_from(known))
    node = edited._cfg_dict
    for key in path[:-1]:
        node = node[key]
    if isinstance(node, tuple):
        return
    value = data.draw(VALUES)
    node[path[-1]] = value
    if path[-1] in ('size', 'length', 'batch_size', 'channels', 'widen_factor') and value == 1e30:
        return
    try:
        check_config(edited)
        run_training(prepare_training(edited))
    except (BisenetError, OSError) as error:
        assert str(error).strip() and len(str(error).splitlines()) == 1, (path, value)


@pytest.mark.always
def test_a_predictor_is_pickled_and_refuses_its_fork(predictor):
    image = np.full((20, 30, 3), 90, np.uint8)
    mask = predictor(image)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(predictor))(image), mask)
    child = os.fork()
    if child == 0:
        try:
            predictor(image)
        except RuntimeError as error:
            os._exit(5 if 'fork' in str(error) else 6)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
