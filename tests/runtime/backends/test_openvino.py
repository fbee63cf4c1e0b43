"""OpenVINO computes what PyTorch does, from memory and from a file, and leaves the process its signals."""

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from bisenet_plugins import load_pretrained
from bisenet_plugins.errors import DeployError
from bisenet_plugins.runtime.backends import import_runtime, open_backend
from bisenet_plugins.runtime.backends import openvino as openvino_backend
from bisenet_plugins.runtime.backends.openvino import OpenVINOBackend, openvino_core, to_openvino
from bisenet_plugins.runtime.backends.torch import Logits
from bisenet_plugins.weights import pretrained_names
from tests.deploy.conftest import needs
from tests.runtime.backends.conftest import SHAPES

pytestmark = needs('openvino')
EXAMPLE = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
SIGNALLED = '''
import gc, signal
import numpy as np
from torch import nn
from bisenet_plugins.runtime.backends.openvino import to_openvino
handled = []
signal.signal(signal.SIGTERM, lambda number, frame: handled.append(int(number)))
first, second = (to_openvino(nn.ReLU(), np.zeros((1, 1, 4, 4), np.float32)) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
signal.raise_signal(signal.SIGTERM)
print(handled)
'''


def test_logits_of_any_size_and_batch_are_the_same(network):
    logits = Logits(network).eval()
    backend = to_openvino(logits, EXAMPLE, threads=1)
    for shape in SHAPES:
        x = torch.randn(shape)
        with torch.no_grad():
            expected = logits(x)
        torch.testing.assert_close(torch.from_numpy(backend(x.numpy())), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_signals_are_handled_after_networks_have_gone():
    """OpenVINO's cores exchange the stack that signals are handled on; a freed one would end the process."""
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', SIGNALLED], capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == f'[{int(signal.SIGTERM)}]'


def test_the_process_has_one_core():
    assert openvino_core() is openvino_core()


def test_a_file_is_the_same_model_and_shows_its_scores(classes, tmp_path):
    memory = to_openvino(classes, EXAMPLE)
    import_runtime('openvino').save_model(memory.model, tmp_path / 'model.xml', compress_to_fp16=False)
    x = np.random.default_rng(1).random((2, 3, 9, 7), np.float32)
    scores = classes.conv(torch.from_numpy(x)).detach()
    for backend in (memory, open_backend('openvino', tmp_path / 'model.xml', threads=1)):
        np.testing.assert_array_equal(backend(x), scores.argmax(1, keepdim=True))
        torch.testing.assert_close(torch.from_numpy(backend.scores(x)), scores)


def test_an_argmax_is_sorted_by_index_and_takes_the_first_of_equal_scores():
    from openvino import opset13 as ops

    def model(k, classes=11):
        scores = ops.parameter([-1, classes, -1, -1], np.float32)
        found = ops.topk(scores, ops.constant(np.int64(k)), 1, 'max', 'value', 'i64', True)
        return import_runtime('openvino').Model([found.output(1)], [scores])

    def order(backend):
        return next(op.get_attributes()['sort'] for op in backend.model.get_ops() if op.get_type_name() == 'TopK')

    scores = np.random.default_rng(0).integers(0, 3, (2, 11, 65, 40)).astype(np.float32)
    scores[0, :, :9] = np.nan
    first, two = OpenVINOBackend(model(1)), OpenVINOBackend(model(2))
    np.testing.assert_array_equal(first(scores), scores.argmax(1, keepdims=True))
    np.testing.assert_array_equal(two(scores)[1], np.argsort(-scores[1], 0, kind='stable')[:2])
    assert [order(first), order(two)] == ['index', 'value']


def test_a_result_outlives_the_next_call_and_the_request_is_kept():
    backend = to_openvino(nn.ReLU(), EXAMPLE)
    first = backend(EXAMPLE)
    backend(np.zeros_like(EXAMPLE))
    np.testing.assert_array_equal(first, EXAMPLE)
    assert [idle.qsize() for _, idle in backend._requests.pools.values()] == [1]


def test_large_inputs_have_models_of_their_shapes_and_the_last_two_stay(monkeypatch):
    monkeypatch.setattr(openvino_backend, 'LARGE', 3 * 64)
    network = nn.Conv2d(3, 2, 3)
    backend = to_openvino(network, EXAMPLE)
    for sides in ((7, 9), (8, 8), (9, 8), (8, 8), (9, 9)):
        x = np.random.default_rng(0).random((1, 3, *sides), np.float32)
        torch.testing.assert_close(torch.from_numpy(backend(x)), network(torch.from_numpy(x)).detach())
    assert list(backend._requests.pools) == [(), (1, 3, 9, 8), (1, 3, 9, 9)]
    assert backend._requests.pools[(1, 3, 9, 9)][0].input(0).partial_shape.is_static


def test_without_argmax_the_scores_are_the_output():
    backend = to_openvino(nn.ReLU(), EXAMPLE)
    np.testing.assert_array_equal(backend.scores(EXAMPLE - 0.5), (EXAMPLE - 0.5).clip(0))


@pytest.mark.parametrize('at_once', [1, 2])
def test_single_precision_and_threads_reach_the_plugin(at_once):
    compiled = to_openvino(nn.ReLU(), EXAMPLE, 1, at_once)._requests.pools[()][0]
    assert compiled.get_property('INFERENCE_PRECISION_HINT').get_type_name() == 'f32'
    assert compiled.get_property('INFERENCE_NUM_THREADS') == at_once
    assert compiled.get_property('NUM_STREAMS') == at_once


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/statm').is_file(), reason='memory is read as Linux tells it')
def test_images_of_ever_new_sizes_do_not_fill_memory():
    backend, held = load_pretrained(pretrained_names()[0], backend='openvino').network.open('openvino', threads=1), []
    for number in range(121):
        backend(np.zeros((1, 3, 32 * (number % 11 + 2), 32 * (number // 11 + 2)), np.float32))
        held.append(int(Path('/proc/self/statm').read_text().split()[1]) * 4096 / 2**20)
    assert held[120] - held[60] < 160  # 280 where every kernel is kept


def test_the_first_conversion_is_made_before_a_thread_can_make_one(monkeypatch):
    """Two threads that make it together may wait for each other for ever."""
    calls = []
    fake = SimpleNamespace(Core=lambda: calls.append('core'), Tensor=lambda values: SimpleNamespace(
        data=calls.append(values.dtype)))
    monkeypatch.setattr(openvino_backend, 'import_runtime', lambda name: fake)
    openvino_backend._core.__wrapped__()  # not the process's own, which stays
    assert calls == [np.float32, 'core']


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_not_finite_are_refused(value, tmp_path, monkeypatch):
    """OpenVINO would turn them into numbers, and those into a mask."""
    conv = nn.Conv2d(3, 2, 3)
    nn.init.constant_(conv.weight[0, 0, 0], value)
    with pytest.raises(DeployError, match='the network cannot be converted'):
        to_openvino(conv, EXAMPLE)
    with monkeypatch.context() as context:
        context.setattr(openvino_backend, 'expect', lambda *given: None)
        model = to_openvino(conv, EXAMPLE).model
    import_runtime('openvino').save_model(model, tmp_path / 'model.xml', compress_to_fp16=False)
    with pytest.raises(DeployError, match='model.xml cannot be loaded by OpenVINO: weights: expected finite ones'):
        OpenVINOBackend(str(tmp_path / 'model.xml'))


def test_what_cannot_be_loaded_is_named(tmp_path):
    (tmp_path / 'bad.xml').write_text('no model')
    with pytest.raises(DeployError, match=r'bad\.xml cannot be loaded by OpenVINO: '):
        OpenVINOBackend(str(tmp_path / 'bad.xml'))
