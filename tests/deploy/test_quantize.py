"""INT8: the search for sensitive layers by numbers worked out by hand, and both quantisers on a tiny network."""

import numpy as np
import pytest

from bisenet_plugins.datasets.samples import synthetic_samples
from bisenet_plugins.deploy.metrics import MeanIoU, mask_of
from bisenet_plugins.deploy.quantize import Calibration, layer_groups, search_layers
from bisenet_plugins.runtime.backends import Backend
from tests.deploy.conftest import needs, other_backend  # noqa: F401


class Flipping(Backend):
    """Gives the right class map with some pixels wrong."""

    def __init__(self, wrong):
        self.wrong = wrong

    def __call__(self, inputs):
        mask = np.zeros((1, 10, 10), np.int64)
        mask.reshape(-1)[50:] = 1
        flat = mask.reshape(-1)
        flat[:self.wrong] = 1 - flat[:self.wrong]
        return mask


def calibration(**settings):
    label = Flipping(0)(None)[0]
    return Calibration([np.zeros((1, 3, 10, 10), np.float32)], 2, labels=[label],
                       checks=[np.zeros((1, 3, 10, 10), np.float32)], **settings)


def wrong_pixels(kept):
    """Group a costs 20 pixels, b none, c 2, d 1."""
    cost = dict(a=20, b=0, c=2, d=1)
    return sum(value for group, value in cost.items() if group not in kept)


def run(settings):
    given = calibration(**settings)
    made = []

    def quantise(kept):
        made.append(tuple(kept))
        return wrong_pixels(kept)

    best = search_layers(quantise, Flipping, Flipping(0), 'abcd', given)
    return best, made, given.report


def test_nothing_is_kept_where_nothing_is_lost():
    best, made, report = run(dict(limit=90.0))
    assert (best, made) == (23, [()])
    assert report['kept_in_higher_precision'] == []


def test_the_most_sensitive_group_is_kept_first():
    best, made, report = run(dict(limit=6.0, max_kept=1.0))
    assert best == 3
    assert report['kept_in_higher_precision'] == ['a']
    assert made == [(), ('a',), ('b',), ('c',), ('d',), ('a',)]
    sensitivity = report['sensitivity']
    assert sorted(sensitivity, key=sensitivity.get) == ['b', 'd', 'c', 'a']
    # 3 of 50 pixels of one class wrong: IoU 47/50 and 50/53
    assert report['miou_after'] == pytest.approx(100 * (47 / 50 + 50 / 53) / 2, abs=1e-3)


def test_groups_are_added_until_the_limit_holds():
    best, _, report = run(dict(limit=3.0, max_kept=1.0))
    assert report['kept_in_higher_precision'] == ['a', 'c']
    assert best == 1


def test_the_share_of_kept_groups_is_limited():
    _, _, report = run(dict(limit=0.0, max_kept=0.5))
    assert report['kept_in_higher_precision'] == ['a', 'c']
    assert report['drop'] > 0


def test_search_can_be_left_out():
    best, made, _ = run(dict(limit=0.0, search='off'))
    assert (best, made) == (23, [()])


@pytest.mark.parametrize(('settings', 'match'), [
    (dict(inputs=[]), 'calibration has no images'),
    (dict(labels=[np.zeros((1, 1))]), 'there are 0 checks and 1 labels'),
    (dict(search='maybe'), "search is 'maybe'"),
])
def test_calibration_is_checked(settings, match):
    with pytest.raises(ValueError, match=match):
        Calibration(**{'inputs': [np.zeros(1)], 'num_classes': 2, **settings})


def test_layers_are_grouped_by_module():
    assert list(layer_groups(['/a/b/Conv', '/a/b/c/d/Conv', 'Conv'])) == ['/a/b', '/a/b/c', '/Conv']


def test_mean_iou_by_hand():
    metric = MeanIoU(3)
    metric.add(np.array([[0, 0, 1]]), np.array([[0, 1, 255]]))
    assert metric.value == pytest.approx(100 * (1 / 2 + 0) / 2)
    with pytest.raises(ValueError, match='they must have one size'):
        metric.add(np.zeros((1, 2), int), np.zeros((2, 1), int))


def test_mask_of_scores_and_of_classes():
    scores = np.zeros((1, 2, 2, 2), np.float32)
    scores[0, 1, :, 1] = 1
    assert mask_of(scores, (2, 2)).tolist() == [[0, 1], [0, 1]]
    assert mask_of(np.array([[[[3, 4]]]]), (2, 2)).tolist() == [[3, 4], [3, 4]]


def tiny_calibration(tiny, **settings):
    artifact = tiny[0]
    batches = [artifact.batch_of(sample.image)[0] for sample in synthetic_samples(3, (64, 128))]
    return Calibration(batches, artifact.num_classes, threads=1, search='off', **settings)


@needs('mmdeploy', 'onnx', 'onnxruntime')
@pytest.mark.parametrize('symmetric', [False, True])
def test_onnx_is_quantised(tiny, tmp_path, symmetric):
    import onnx

    from bisenet_plugins.deploy.quantize import quantize_onnx
    from bisenet_plugins.runtime.backends.onnxruntime import OnnxRuntimeBackend
    given = tiny_calibration(tiny)
    quantize_onnx(tiny[0].path, str(tmp_path / 'q.onnx'), given, symmetric)
    graph = onnx.load(tmp_path / 'q.onnx').graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count('QuantizeLinear') > 10
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    zeros = [arrays[node.input[2]] for node in graph.node if node.op_type == 'QuantizeLinear']
    assert all((zero == 0).all() for zero in zeros) == symmetric
    batch = given.inputs[0]
    before, after = tiny[0].open(1)(batch), OnnxRuntimeBackend(str(tmp_path / 'q.onnx'), 1)(batch)
    assert np.mean(before == after) > 0.8
    assert given.report['judged_on'] == 'the model before INT8'


@needs('mmdeploy', 'onnx', 'onnxruntime', 'tensorrt_rtx')
def test_tensorrt_rtx_takes_the_quantised_graph(tiny, tmp_path):
    from bisenet_plugins.deploy.quantize import quantize_onnx
    from bisenet_plugins.deploy.tensorrt_build import build_engine
    quantize_onnx(tiny[0].path, str(tmp_path / 'q.onnx'), tiny_calibration(tiny), symmetric=True)
    shapes = dict.fromkeys(('min_shape', 'opt_shape', 'max_shape'), (1, 3, 64, 128))
    build_engine(str(tmp_path / 'q.onnx'), str(tmp_path / 'q.engine'), shapes=shapes,
                 compute_capabilities=('8.6', '8.9'))
    assert (tmp_path / 'q.engine').stat().st_size > 10_000


@pytest.mark.slow
@needs('mmdeploy', 'onnx', 'openvino', 'nncf')
def test_openvino_is_quantised_by_nncf(tiny):
    import openvino

    from bisenet_plugins.deploy.quantize import quantize_openvino
    from bisenet_plugins.runtime.backends.openvino import OpenVINOBackend
    given = tiny_calibration(tiny)
    model = quantize_openvino(openvino.Core().read_model(tiny[0].path), given)
    kinds = [op.get_type_name() for op in model.get_ops()]
    assert kinds.count('FakeQuantize') > 10
    batch = given.inputs[0]
    assert np.mean(tiny[0].open(1)(batch) == OpenVINOBackend(model, 1)(batch)) > 0.8
