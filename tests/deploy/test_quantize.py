"""INT8: the search for sensitive layers by numbers worked out by hand, and both quantisers on a tiny network."""

import inspect

import numpy as np
import pytest
from mmengine.config import Config

from bisenet_plugins.datasets.samples import Sample, synthetic_samples
from bisenet_plugins.deploy.quantize import Calibration, layer_groups, search_layers
from bisenet_plugins.errors import InputError
from bisenet_plugins.runtime.artifact import Artifact
from tests.deploy.conftest import needs, tiny_config


def keeps_ranges():
    """Return whether this ONNX Runtime can; 1.23, the last one for Python 3.10, cannot."""
    quantization = pytest.importorskip('onnxruntime.quantization')
    return 'calibration_cache_path' in inspect.signature(quantization.quantize_static).parameters


class Flipping:
    """Returns the right mask with some pixels wrong."""

    def __init__(self, wrong):
        self.wrong = wrong

    def __call__(self, inputs):
        mask = np.zeros((1, 10, 10), np.int64)
        mask.reshape(-1)[50:] = 1
        flat = mask.reshape(-1)
        flat[:self.wrong] = 1 - flat[:self.wrong]
        return mask


def calibration(**settings):
    sample = Sample(np.zeros((10, 10, 3), np.uint8), Flipping(0)(None)[0])
    return Calibration(Artifact('onnxruntime', 'int8', 'x', 'x', num_classes=2), [sample], **settings)


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
    (dict(images=[]), 'calibration: expected at least one image, got 0'),
    (dict(search='maybe'), "search: expected one of .*, got 'maybe'"),
    (dict(method='guess'), "method: expected one of .*, got 'guess'"),
])
def test_calibration_is_checked(settings, match):
    artifact = Artifact('onnxruntime', 'int8', 'x', 'x', num_classes=2)
    with pytest.raises(InputError, match=match):
        Calibration(artifact, **{'images': [Sample(np.zeros((10, 10, 3), np.uint8))], **settings})


def test_without_labels_the_masks_before_count_as_true():
    artifact = Artifact('onnxruntime', 'int8', 'x', 'x', num_classes=2)
    given = Calibration(artifact, [Sample(np.zeros((10, 10, 3), np.uint8))])
    np.testing.assert_array_equal(given.targets(Flipping(3))[0], Flipping(3)(None)[0])


def test_layers_are_grouped_by_module():
    assert list(layer_groups(['/a/b/Conv', '/a/b/c/d/Conv', 'Conv'])) == ['/a/b', '/a/b/c', '/Conv']


@pytest.mark.parametrize('source', ['synthetic', 'labels.py'])
def test_labels_are_ignored_where_the_head_ignores_them(tmp_path, monkeypatch, source):
    from bisenet_plugins.deploy import DeployOptions, deploy, exporter
    cfg, seen = tiny_config(), []
    cfg.model.decode_head.ignore_index = 3
    scenes = dict(type='StreetSceneDataset', length=2, size=(64, 96))
    Config(dict(dataset=scenes)).dump(tmp_path / 'labels.py')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(exporter, 'require', lambda *names: None)
    monkeypatch.setattr(exporter, 'Calibration', lambda artifact, *samples, **settings: seen.extend(samples) or 1 / 0)
    options = DeployOptions(precision='int8', calibration='labels.py', images=source, threads=1)
    with pytest.raises(ZeroDivisionError):
        deploy(cfg, None, str(tmp_path / 'out'), options)
    labels = [sample.label for samples in seen[:2] for sample in samples]
    assert len(labels) == (2 if source == 'synthetic' else 4)
    assert all(not (label == 3).any() and (label == 255).any() for label in labels)


def tiny_calibration(tiny, **settings):
    return Calibration(tiny[0], synthetic_samples(3, (64, 128)), threads=1, search='off', **settings)


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


@needs('mmdeploy', 'onnx', 'onnxruntime')
@pytest.mark.parametrize('method', [
    'minmax', *(pytest.param(method, marks=pytest.mark.slow) for method in ('entropy', 'percentile'))])
def test_ranges_are_kept_for_the_next_time(tiny, tmp_path, method, monkeypatch):
    from bisenet_plugins.deploy import quantize
    if not keeps_ranges():
        pytest.skip('this ONNX Runtime keeps no ranges')
    given = tiny_calibration(tiny, method=method, ranges=str(tmp_path / 'ranges'))
    quantize.quantize_onnx(tiny[0].path, str(tmp_path / 'first.onnx'), given)
    kept, = (tmp_path / 'ranges').iterdir()
    monkeypatch.setattr(quantize._Reader, 'get_next', lambda self: pytest.fail('measured again'))
    quantize.quantize_onnx(tiny[0].path, str(tmp_path / 'second.onnx'), given)
    assert (tmp_path / 'first.onnx').read_bytes() == (tmp_path / 'second.onnx').read_bytes()
    monkeypatch.undo()
    other = tiny_calibration(tiny, method=method, ranges=str(tmp_path / 'ranges'))
    other.inputs = other.inputs[:1]
    quantize.quantize_onnx(tiny[0].path, str(tmp_path / 'third.onnx'), other)
    assert len(list((tmp_path / 'ranges').iterdir())) == 2


@needs('mmdeploy', 'onnx', 'onnxruntime')
@pytest.mark.parametrize(('drops', 'method', 'searched'), [
    ([0.1], 'minmax', [False]), ([4.0, 0.1], 'percentile', [False, True])])
def test_percentile_is_tried_before_layers_are_left_out(tiny, tmp_path, monkeypatch, drops, method, searched):
    from bisenet_plugins.deploy import quantize
    asked = []

    def search(quantise, open_model, before, groups, calibration):
        asked.append(bool(groups))
        calibration.report['drop'] = drops[len(asked) - 1]
        return quantise([])

    monkeypatch.setattr(quantize, 'search_layers', search)
    given = tiny_calibration(tiny, ranges=str(tmp_path / 'ranges'))
    quantize.quantize_onnx(tiny[0].path, str(tmp_path / 'q.onnx'), given)
    assert (given.report['method'], asked) == (method, searched)
    assert len(list((tmp_path / 'ranges').glob('*_minmax.json'))) == keeps_ranges()
    assert len(list((tmp_path / 'ranges').glob('*_percentile.json'))) == keeps_ranges() * (len(drops) - 1)


@pytest.mark.slow
@needs('mmdeploy', 'onnx', 'openvino', 'nncf')
def test_openvino_is_quantised_by_nncf(tiny):
    from bisenet_plugins.deploy.quantize import quantize_openvino
    from bisenet_plugins.runtime.backends.openvino import OpenVINOBackend, openvino_core
    given = tiny_calibration(tiny)
    model = quantize_openvino(openvino_core().read_model(tiny[0].path), given)
    kinds = [op.get_type_name() for op in model.get_ops()]
    assert kinds.count('FakeQuantize') > 10
    batch = given.inputs[0]
    assert np.mean(tiny[0].open(1)(batch) == OpenVINOBackend(model, 1)(batch)) > 0.8
