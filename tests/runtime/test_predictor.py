"""An image goes in, its mask of the same size comes out, whatever computes it and whoever calls it."""

import importlib.util
import json
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bisenet_plugins import load_pretrained, pretrained_names
from bisenet_plugins.errors import CheckpointError, DeployError, InputError, MissingPackageError
from bisenet_plugins.runtime import artifact as artifact_module
from bisenet_plugins.runtime.backends import BACKENDS, GRAPH_BACKENDS, installed
from bisenet_plugins.runtime.predictor import Predictor
from bisenet_plugins.weights import RefusedCheckpointError, store

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = [name for name in BACKENDS if importlib.util.find_spec(name) is not None]
every_backend = pytest.mark.parametrize('backend', [
    pytest.param(name, marks=() if name in INSTALLED else pytest.mark.skip(f'{name} is not installed'))
    for name in BACKENDS])


def trained(model):
    """Set statistics that folding has to get right, and classes that differ from place to place."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.running_mean, -.3, .3)
            nn.init.uniform_(module.running_var, .6, 1.5)
    nn.init.normal_(model.decode_head.conv_seg.weight, std=5.0)
    return model.eval()


@pytest.fixture
def predictor(small_config):
    predictor = Predictor(small_config, backend='torch')
    trained(predictor.model)
    return predictor


def beside(predictor, backend):
    """The same network on another backend."""
    return Predictor(predictor.cfg, dict(state_dict=predictor.model.state_dict()), backend=backend)


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize('size', [(32, 48), (33, 61)])
def test_the_mask_has_the_images_size(predictor, size):
    mask = predictor(image(*size))
    assert (mask.shape, mask.dtype) == (size, np.uint8)
    assert mask.max() < 3


def test_a_list_of_any_sizes_gives_the_same_as_one_by_one(predictor):
    images = [image(32, 48, 1), image(40, 33, 2), image(32, 48, 3)]
    masks = predictor(images)
    assert [mask.shape for mask in masks] == [(32, 48), (40, 33), (32, 48)]
    for mask, one in zip(masks, images, strict=True):
        np.testing.assert_array_equal(mask, predictor(one))
    assert predictor([]) == []


def test_the_stages_are_the_call(predictor):
    prepared = predictor.preprocess(image(40, 56))
    logits = predictor.logits([prepared, prepared])
    assert logits.shape == (2, 3, 20, 28)
    np.testing.assert_array_equal(predictor.mask(logits[1:], prepared), predictor(image(40, 56)))


def test_it_is_mmsegs_own_answer(predictor, tmp_path):
    import mmcv
    from mmseg.apis import inference_model

    pixels = image(40, 56)
    model = predictor.model
    model.cfg = predictor.cfg
    model.cfg.test_pipeline = predictor.cfg.test_dataloader.dataset.pipeline
    mmcv.imwrite(pixels, str(tmp_path / 'image.png'))
    wanted = inference_model(model, str(tmp_path / 'image.png')).pred_sem_seg.data[0].numpy()
    assert (predictor(pixels) != wanted).mean() < 0.02  # mmseg resizes twice
    predictor.cfg.test_dataloader.dataset.pipeline.pop(1)
    same_size = beside(predictor, 'torch')
    same_size.model.cfg = same_size.cfg
    same_size.model.cfg.test_pipeline = same_size.cfg.test_dataloader.dataset.pipeline
    wanted = inference_model(same_size.model, str(tmp_path / 'image.png')).pred_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(same_size(pixels), wanted)


@pytest.mark.parametrize('change', ['slide', 'one channel', 'padding', 'neck'])
def test_odd_networks_give_what_mmseg_gives(small_config, change):
    small_config.test_dataloader.dataset.pipeline.pop(1)
    head = small_config.model.decode_head
    if change == 'slide':
        small_config.model.test_cfg = dict(mode='slide', crop_size=(32, 32), stride=(24, 24))
    elif change == 'one channel':
        head.update(num_classes=2, out_channels=1, threshold=0.4, loss_decode=dict(type='CrossEntropyLoss',
                                                                                  use_sigmoid=True))
    elif change == 'padding':
        small_config.model.data_preprocessor.test_cfg = dict(size_divisor=32)
    else:
        small_config.model.neck = dict(type='FPN', in_channels=[8, 8], out_channels=8, num_outs=2)
    predictor = Predictor(small_config, backend='torch')
    trained(predictor.model)
    pixels = image(40, 56)
    data = dict(inputs=[torch.from_numpy(pixels.transpose(2, 0, 1).copy())], data_samples=[_sample((40, 56))])
    wanted = predictor.model.test_step(data)[0].pred_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(predictor(pixels), wanted)


def _sample(sides):
    from mmseg.structures import SegDataSample

    return SegDataSample(metainfo=dict(ori_shape=sides, img_shape=sides))


@every_backend
def test_backends_differ_in_nothing_but_speed(predictor, backend):
    images = [image(32, 48), image(33, 61), image(32, 48, 1)]
    other = beside(predictor, backend)
    for mask, wanted in zip(other(images), predictor(images), strict=True):
        assert len(np.unique(wanted)) > 1
        np.testing.assert_array_equal(mask, wanted)
    assert other.backend == backend


@every_backend
def test_eight_threads_give_what_one_gives(predictor, backend):
    """From a cold start: the threads meet while the backend is made."""
    images = [image(32, 48, seed) for seed in range(32)]
    wanted = predictor(images)
    shared, found, errors = beside(predictor, backend), {}, []
    barrier = threading.Barrier(8)

    def work(number):
        try:
            barrier.wait()
            for turn in range(number, number + 32):
                found[number, turn % 32] = shared(images[turn % 32])
        except BaseException as error:  # shown by the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(found) == 8 * 32
    assert not [key for key, mask in found.items() if (mask != wanted[key[1]]).any()]


@every_backend
def test_it_pickles(predictor, backend):
    used = beside(predictor, backend)
    wanted = used(image(32, 48))
    again = pickle.loads(pickle.dumps(used))
    np.testing.assert_array_equal(again(image(32, 48)), wanted)
    assert (again.backend, again.classes) == (backend, used.classes)
    np.testing.assert_array_equal(again.palette, used.palette)


class Renamed(Predictor):
    """A predictor of one's own."""


def test_a_class_derived_from_it_pickles(small_config):
    again = pickle.loads(pickle.dumps(Renamed(small_config, backend='torch')))
    assert type(again) is Renamed and again.backend == 'torch'


def test_long_lists_go_through_the_network_in_parts(predictor, monkeypatch):
    monkeypatch.setattr('bisenet_plugins.runtime.predictor.TOGETHER', 2 * 3 * 64 * 96)
    seen, compute = [], predictor.logits
    monkeypatch.setattr(predictor, 'logits', lambda several: seen.append(len(several)) or compute(several))
    images = [image(32, 48)] * 5
    np.testing.assert_array_equal(np.stack(predictor(images)), np.stack([predictor(images[0])] * 5))
    assert seen == [2, 2, 1, 1]


@pytest.fixture
def shipped(monkeypatch, tmp_path, predictor, write_graph):
    """The first network of the package with a graph in FP32 (of another network, to tell them apart) and in INT8."""
    name = pretrained_names()[0]
    shutil.copytree(store.FOLDER, tmp_path / 'shipped')
    monkeypatch.setattr(store, 'FOLDER', tmp_path / 'shipped')
    index = {network: {**entry, 'graphs': {}} for network, entry in store.read_index().items()}
    (tmp_path / 'shipped' / 'index.json').write_text(json.dumps(dict(networks=index)))  # checksums of other graphs
    write_graph(predictor, tmp_path / 'shipped' / f'{name}.onnx')
    write_graph(predictor, tmp_path / 'shipped' / f'{name}.int8.onnx', 'int8')
    return name


def test_a_shipped_network_runs_from_its_graph_and_has_its_model_all_the_same(shipped, predictor):
    found = load_pretrained(shipped)
    np.testing.assert_array_equal(found(image(40, 56)), predictor(image(40, 56)))
    assert found.backend == installed(GRAPH_BACKENDS)[0] and found.classes == ('road', 'car', 'sky')
    assert found._network is None and found.model.num_classes == 11 and 'model' in found.cfg
    again = pickle.loads(pickle.dumps(found))
    assert (again.name, again.backend) == (shipped, 'auto'), 'the machine that unpickles it may have others'
    for settings in (dict(backend='torch'), dict(device='meta')):
        assert load_pretrained(shipped, **settings).artifact is None
    assert load_pretrained(shipped, precision='int8').artifact.file.endswith('int8.onnx')


def test_an_onnx_file_runs_on_every_graph_backend_and_pickles(predictor, write_graph, tmp_path, monkeypatch):
    write_graph(predictor, tmp_path / 'NET.ONNX')
    wanted = predictor(image(33, 61))
    for backend in ('auto', *installed(GRAPH_BACKENDS)):
        monkeypatch.chdir(tmp_path)
        found = Predictor('NET.ONNX', backend=backend)
        monkeypatch.chdir('/')
        np.testing.assert_array_equal(found(image(33, 61)), wanted)
        again = pickle.loads(pickle.dumps(found))
        np.testing.assert_array_equal(again(image(33, 61)), wanted)
        assert found.backend == again.backend and found.model is None and found.cfg is None
    with pytest.raises(InputError, match="expected weights=None and backend='auto', got None and 'torch'"):
        Predictor(tmp_path / 'NET.ONNX', backend='torch')


def test_a_graph_that_the_first_backend_refuses_goes_to_the_next(predictor, write_graph, tmp_path, monkeypatch, caplog):
    if len(installed(GRAPH_BACKENDS)) < 2:
        pytest.skip('needs two backends')
    write_graph(predictor, tmp_path / 'net.onnx')
    made = artifact_module.open_backend

    def refuses(name, *arguments):
        if name == 'openvino':
            raise DeployError('no')
        return made(name, *arguments)

    monkeypatch.setattr(artifact_module, 'open_backend', refuses)
    found = Predictor(tmp_path / 'net.onnx')
    assert found(image(32, 48)).shape == (32, 48) and found.backend == 'onnxruntime'
    assert 'no; onnxruntime computes it' in caplog.text


def test_a_fork_before_the_first_image_works(predictor, write_graph, tmp_path):
    write_graph(predictor, tmp_path / 'net.onnx')
    expected = str(zlib.crc32(predictor(image(32, 48)).tobytes()))
    backends = [name for name in INSTALLED if name != 'torch']
    code = f"""
import os, sys, numpy, zlib
from bisenet_plugins import Predictor
predictors = [Predictor({str(tmp_path / 'net.onnx')!r}, backend=backend) for backend in {backends}]
image = numpy.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=numpy.uint8)
child = os.fork()
for predictor in predictors:
    os.write(1, b'%d\\n' % zlib.crc32(predictor(image).tobytes()))
if child:
    sys.exit(os.waitpid(child, 0)[1])
"""
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, timeout=120,
                          check=False, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    count = 2 * len(backends)
    assert done.returncode == 0 and done.stdout.split()[-count:] == [expected] * count, done.stderr


def _segmented(predictor, queue):
    try:
        queue.put(predictor(image(32, 48)))
    except RuntimeError as error:
        queue.put(str(error))


def test_a_fork_after_the_first_image_is_told_what_to_do(predictor):
    predictor(image(32, 48))
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    child = context.Process(target=_segmented, args=(predictor, queue))
    child.start()
    said = queue.get(timeout=60)
    child.join()
    assert said == (f'Predictor: expected to be used in the process {os.getpid()}, which has segmented with it, got '
                    f"its fork {child.pid}; start worker processes by 'spawn', or fork before the first image")


def test_auto_is_the_fastest_that_is_installed(predictor, monkeypatch):
    chosen = beside(predictor, 'auto')
    np.testing.assert_array_equal(chosen(image(32, 48)), predictor(image(32, 48)))
    assert chosen.backend == installed([*GRAPH_BACKENDS, 'torch'])[0]
    bare = beside(predictor, 'auto')
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert bare(image(32, 48)).shape == (32, 48) and bare.backend == 'torch'


def test_auto_falls_back_to_pytorch(predictor, monkeypatch):
    chosen = beside(predictor, 'auto')
    chosen.model.test_cfg = ConfigDict(mode='slide', crop_size=(32, 32), stride=(24, 24))
    assert chosen(image(32, 48)).shape == (32, 48) and chosen.backend == 'torch'


@pytest.mark.parametrize('backend', [name for name in INSTALLED if name != 'torch'])
def test_what_cannot_be_converted_is_named(predictor, backend):
    class Unconvertible(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, maps):
            raise RuntimeError('there is no way through here')

    other = beside(predictor, backend)
    other.model.decode_head.conv_seg = Unconvertible()
    with pytest.raises(DeployError, match='cannot be converted: '):
        other(image(32, 48))


def test_a_missing_backend_names_its_extra(predictor, monkeypatch):
    other = beside(predictor, 'openvino')
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name, *args: None)
    with pytest.raises(MissingPackageError, match=r"openvino is not installed; it comes with the extra 'openvino'"):
        other(image(32, 48))


def test_classes_and_palette_come_from_the_checkpoint(predictor, small_config, tmp_path):
    meta = dict(dataset_meta=dict(classes=('a', 'b', 'c'), palette=[[1, 1, 1], [2, 2, 2], [3, 3, 3]]))
    state = {f'module._orig_mod.{name}': value for name, value in predictor.model.state_dict().items()}
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'weights.pth')
    other = Predictor(small_config, tmp_path / 'weights.pth', backend='torch')
    np.testing.assert_array_equal(other(image(32, 32)), predictor(image(32, 32)))
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
    np.testing.assert_array_equal(Predictor(small_config, tmp_path / 'plain.pth', backend='torch')(image(32, 32)),
                                  predictor(image(32, 32)))
    first = next(iter(state))
    torch.save({**state, first: torch.zeros(1)}, tmp_path / 'shape.pth')
    with pytest.raises(CheckpointError, match=f'got 0 missing and 1 of another shape, the first is {first}'):
        Predictor(small_config, tmp_path / 'shape.pth')
    torch.save({'other': torch.zeros(1)}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match="other.pth: expected .* of the config's network, got .* missing"):
        Predictor(small_config, tmp_path / 'other.pth')


class Object:
    """Something that only pickle can rebuild."""


def test_wrong_arguments_are_named(predictor, small_config, tmp_path):
    (tmp_path / 'street.png').touch()
    for name, told in (('none.py', 'there is no'), ('street.png', 'got')):
        with pytest.raises(InputError, match=f'network: expected a config file, .* {told} .*{name}'):
            Predictor(tmp_path / name)
    with pytest.raises(FileNotFoundError, match='no checkpoint at'):
        Predictor(small_config, tmp_path / 'none.pth')
    torch.save({'state_dict': {}, 'x': Object()}, tmp_path / 'object.pth')
    with pytest.raises(RefusedCheckpointError, match='Object, which only pickle can rebuild'):
        Predictor(small_config, tmp_path / 'object.pth')
    with pytest.raises(InputError, match="backend: expected one of .*, got 'tvm'"):
        Predictor(small_config, backend='tvm')
    with pytest.raises(InputError, match="device: expected 'cpu' with backend='openvino', got 'cuda'"):
        Predictor(small_config, backend='openvino', device='cuda')
    with pytest.raises(InputError, match='threads: expected a whole number of at least 0, got -1'):
        Predictor(small_config, threads=-1)
    with pytest.raises(InputError, match='image: expected a uint8 array .* got float32'):
        predictor(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(InputError, match="precision: expected 'fp32' for a network without an INT8 graph"):
        Predictor(small_config, precision='int8')
    with pytest.raises(InputError, match="precision: expected one of"):
        Predictor(small_config, precision='fp8')
    with pytest.raises(DeployError, match='holds no artifact.json'):
        Predictor(tmp_path)
    with pytest.raises(InputError, match='weights: expected None with the name of a network'):
        Predictor(pretrained_names()[0], tmp_path / 'weights.pth')
    with pytest.raises(InputError, match="name: expected one of bisenet.*, got 'big'"):
        load_pretrained('big')
    small_config.model.decode_head.num_classes = 300
    with pytest.raises(ValueError, match='num_classes: expected at most 256, .* got 300'):
        Predictor(small_config)
