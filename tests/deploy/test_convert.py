"""The whole way, on a tiny network: every form, every backend, and what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bisenet_plugins.datasets.samples import Sample, synthetic_samples
from bisenet_plugins.deploy import (
    Artifact,
    ArtifactPredictor,
    DeployError,
    MissingPackageError,
    NoGpuError,
    UnsupportedOperatorError,
)
from bisenet_plugins.runtime.predictor import Predictor
from tests.deploy.conftest import ROOT, needs, other_backend, tiny_config

pytestmark = needs('mmdeploy', 'onnx', 'onnxruntime')


def options(*args, **kwargs):
    from bisenet_plugins.deploy.convert import DeployOptions
    return DeployOptions(*args, **{'image_count': 2, 'threads': 1, 'dump_info': False, **kwargs})


def make(tiny, out, *args, **kwargs):
    from bisenet_plugins.deploy.convert import deploy
    return deploy(tiny_config(), tiny[2], str(out), options(*args, **kwargs))


def test_artifact_says_what_it_is(tiny):
    artifact = tiny[0]
    assert sorted(os.listdir(artifact.folder)) == ['artifact.json', 'deploy.json', 'detail.json', 'end2end.onnx',
                                                   'pipeline.json']
    again = Artifact.load(artifact.folder)
    assert again == artifact
    assert artifact.checks['agreement'] >= 99.99
    assert artifact.num_classes == 5


def test_sdk_files_name_the_artifact(tiny):
    info = json.loads((Path(tiny[0].folder) / 'deploy.json').read_text())
    assert info['models'][0]['net'] == 'end2end.onnx'
    steps = json.loads((Path(tiny[0].folder) / 'pipeline.json').read_text())['pipeline']['tasks']
    kinds = [step['type'] for step in steps[0]['transforms']]
    assert kinds == ['LoadImageFromFile', 'Normalize', 'ImageToTensor', 'Collect']
    assert steps[0]['transforms'][1]['to_rgb'] is True


def test_predictor_equals_the_checkpoint_s(tiny):
    predictor = Predictor(tiny_config(), tiny[2])
    deployed = ArtifactPredictor(tiny[0].folder, threads=1)
    images = [sample.image for sample in synthetic_samples(2, (63, 127))]
    expected, masks = predictor(images), deployed(images)
    for one, other in zip(expected, masks):
        assert other.dtype == np.uint8
        assert np.mean(one == other) > 0.999
    assert deployed.classes == predictor.classes
    np.testing.assert_array_equal(deployed.palette, predictor.palette)


@pytest.mark.parametrize('image', [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32)])
def test_predictor_refuses_what_is_no_picture(tiny, image):
    with pytest.raises(TypeError, match='a uint8 array'):
        ArtifactPredictor(tiny[0].folder, threads=1)(image)


@pytest.mark.parametrize(('precision', 'shape', 'settings'), [
    ('fp32', None, dict(output='logits', opset=13)),
    ('fp16', None, {}),
    ('fp16', (64, 128), dict(output='logits_s8')),
    ('fp32', (64, 128), dict(batch=2)),
    ('fp32', None, dict(channel_order='rgb')),
])
def test_forms_agree(tiny, tmp_path, precision, shape, settings):
    artifact = make(tiny, tmp_path / 'a', 'onnxruntime', precision, shape, **settings)
    assert artifact.checks['agreement'] >= (99.99 if precision == 'fp32' else 99.9)
    assert artifact.checks['max_logit_difference'] < (1e-4 if precision == 'fp32' else 0.1)
    mask = ArtifactPredictor(artifact.folder, threads=1)(synthetic_samples(1, (70, 100))[0].image)
    assert mask.shape == (70, 100)


def test_self_contained_form_follows_the_paper_s_protocol(tiny, tmp_path):
    artifact = make(tiny, tmp_path / 'a', 'onnxruntime', 'fp32', (128, 256), channel_order='bgr',
                    network_size=(64, 128))
    image = synthetic_samples(1, (128, 256))[0].image
    output = artifact.open(threads=1)(image[None])
    assert output.shape == (1, 128, 256)
    assert output.dtype == np.uint8
    segmentor = tiny[1]
    half = torch.nn.functional.interpolate(torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float(),
                                           (64, 128), mode='bilinear')
    pre = segmentor.data_preprocessor
    with torch.no_grad():
        logits = segmentor.decode_head(segmentor.extract_feat((half - pre.mean) / pre.std))
        expected = torch.nn.functional.interpolate(logits, (128, 256), mode='bilinear').argmax(1).numpy()
    assert np.mean(expected == output) > 0.9999


def test_dynamic_graph_takes_any_batch_and_odd_sizes(tiny):
    session = tiny[0].open(threads=1)
    inputs = np.random.default_rng(0).normal(size=(3, 3, 63, 127)).astype(np.float32)
    together = session(inputs)
    assert together.shape == (3, 1, 63, 127)
    for i in range(3):
        assert np.mean(session(inputs[i:i + 1])[0] == together[i]) > 0.999


def test_openvino_agrees(tiny, tmp_path):
    pytest.importorskip('openvino', reason='openvino is not installed; see docs/deploy.md')
    from bisenet_plugins.deploy.verify import compare, judge
    for precision in ('fp32', 'fp16'):
        artifact = other_backend(tiny[0], tmp_path / precision, 'openvino', precision)
        report = compare(artifact.folder, tiny[1], synthetic_samples(2, (63, 127)), threads=1)
        assert judge(report) == []
        assert report['ran'] == 'end2end.xml'


@needs('tensorrt_rtx')
@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_tensorrt_rtx_takes_bytes_and_dynamic_shapes(tiny, tmp_path, precision):
    dynamic = other_backend(tiny[0], tmp_path / 'dynamic', 'tensorrt-rtx', precision)
    assert Path(dynamic.path).stat().st_size > 10_000
    contained = make(tiny, tmp_path / 'bytes', 'tensorrt-rtx', precision, (64, 128), channel_order='bgr',
                     network_size=(32, 64))
    assert contained.file == 'end2end.engine'
    assert contained.checks['ran'].endswith('.onnx')  # without a GPU the very graph of the engine is compared


@needs('tensorrt_rtx')
def test_tensorrt_rtx_names_node_and_module(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    from bisenet_plugins.deploy.tensorrt_build import build_engine
    node = helper.make_node('Unique', ['x'], ['y'], '/backbone/odd/Unique')
    graph = helper.make_graph([node], 'g', [helper.make_tensor_value_info('x', TensorProto.FLOAT, [4])],
                              [helper.make_tensor_value_info('y', TensorProto.FLOAT, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8), tmp_path / 'm.onnx')
    with pytest.raises(UnsupportedOperatorError, match=r'node /backbone/odd/Unique .*of module backbone\.odd'):
        build_engine(str(tmp_path / 'm.onnx'), str(tmp_path / 'm.engine'))


@needs('tensorrt_rtx')
def test_tensorrt_rtx_refuses_unknown_gpus_and_missing_shapes(tiny, tmp_path):
    from bisenet_plugins.deploy.tensorrt_build import build_engine
    with pytest.raises(ValueError, match="compute capability is '1.0'"):
        build_engine(tiny[0].path, str(tmp_path / 'e'), shapes=dict.fromkeys(
            ('min_shape', 'opt_shape', 'max_shape'), (1, 3, 64, 64)), compute_capabilities=('1.0',))
    with pytest.raises(DeployError, match='the graph is dynamic and no shapes are given'):
        build_engine(tiny[0].path, str(tmp_path / 'e'))


def test_tensorrt_without_a_gpu_says_so_at_once(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr('bisenet_plugins.deploy.tensorrt_build.has_gpu', lambda: False)
    with pytest.raises(NoGpuError, match='--backend tensorrt-rtx.*--backend onnxruntime'):
        make(tiny, tmp_path / 'a', 'tensorrt', 'fp16')
    assert os.listdir(tmp_path) == []


def test_missing_backend_names_extra_and_pip_line(monkeypatch):
    from bisenet_plugins import errors
    monkeypatch.setattr(errors.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(MissingPackageError, match=r"extra 'tensorrt-rtx': pip install 'bisenet-plugins\[tensorrt-rtx"):
        errors.require('tensorrt_rtx')


class Odd(torch.nn.Conv2d):
    """An operator that has no ONNX counterpart."""

    def forward(self, x):
        return super().forward(torch.special.bessel_j0(x))


def test_unsupported_operator_names_module_and_leaves_nothing(tmp_path):
    from mmengine.registry import MODELS
    name = 'TinyOddConv'
    MODELS.register_module(name=name, module=Odd, force=True)
    config = tiny_config()
    config.model.decode_head.conv_cfg = dict(type=name)
    from bisenet_plugins.deploy.convert import deploy
    with pytest.raises(UnsupportedOperatorError, match=r'bessel_j0.* in module decode_head\.convs\.0\.conv'):
        deploy(config, None, str(tmp_path / 'a'), options('onnxruntime'))
    assert os.listdir(tmp_path) == []


def test_disagreement_fails_and_leaves_nothing(tiny, tmp_path, monkeypatch):
    from bisenet_plugins.deploy import AgreementError, verify
    monkeypatch.setitem(verify.THRESHOLDS, 'fp32', 101.0)
    with pytest.raises(AgreementError, match='fewer than the 101.0 % that fp32 needs'):
        make(tiny, tmp_path / 'a', 'onnxruntime')
    assert os.listdir(tmp_path) == []


def test_out_folder_is_never_overwritten_by_accident(tiny, tmp_path):
    (tmp_path / 'thesis.tex').write_text('')
    with pytest.raises(DeployError, match='which holds other files'):
        make(tiny, tmp_path, 'onnxruntime', overwrite=True)
    with pytest.raises(DeployError, match='give a new folder or --overwrite'):
        make(tiny, tiny[0].folder, 'onnxruntime')


def test_int8_needs_images(tiny, tmp_path):
    with pytest.raises(DeployError, match='int8 needs calibration images'):
        make(tiny, tmp_path / 'a', 'onnxruntime', 'int8', (64, 128))


def test_importing_changes_nothing_in_torch():
    code = ('import torch; before = torch.onnx.export; import bisenet_plugins.deploy; '
            'assert torch.onnx.export is before; print("unchanged")')
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip().endswith('unchanged'), done.stderr


def test_mmdeploy_s_own_pipeline_takes_our_config(tiny, tmp_path):
    """The calls of mmdeploy's tools/deploy.py, in its order, with files as it takes them."""
    import cv2
    from mmdeploy.apis import torch2onnx
    from mmdeploy.apis.utils import build_task_processor, to_backend
    from mmdeploy.backend.sdk.export_info import export2SDK
    from mmdeploy.utils import get_backend, get_input_shape, load_config
    tiny_config().dump(tmp_path / 'model.py')
    cv2.imwrite(str(tmp_path / 'image.png'), synthetic_samples(1, (64, 128))[0].image)
    deploy_path = str(ROOT / 'configs' / 'deploy' / 'segmentation_onnxruntime_dynamic.py')
    work = str(tmp_path / 'work')
    deploy_cfg, model_cfg = load_config(deploy_path, str(tmp_path / 'model.py'))
    os.mkdir(work)
    export2SDK(deploy_cfg, model_cfg, work, pth=tiny[2], device='cpu')
    torch2onnx(str(tmp_path / 'image.png'), work, 'end2end.onnx', deploy_path, str(tmp_path / 'model.py'), tiny[2],
               device='cpu')
    files = to_backend(get_backend(deploy_cfg), [os.path.join(work, 'end2end.onnx')], work_dir=work,
                       deploy_cfg=deploy_cfg, device='cpu')
    processor = build_task_processor(model_cfg, deploy_cfg, 'cpu')
    backend_model = processor.build_backend_model(files, processor.update_data_preprocessor)
    data, _ = processor.create_input(str(tmp_path / 'image.png'), get_input_shape(deploy_cfg))
    result, = backend_model.test_step(data)
    expected = Predictor(tiny_config(), tiny[2])(cv2.imread(str(tmp_path / 'image.png')))
    assert np.mean(result.pred_sem_seg.data[0].numpy() == expected) > 0.999


def test_padding_is_taken_off(tiny, tmp_path):
    artifact = Artifact.load(tiny[0].folder)
    artifact.preprocess.divisor = 32
    batch, valid = artifact.batch_of(synthetic_samples(1, (63, 100))[0].image)
    assert batch.shape == (1, 3, 64, 128)
    assert valid == (63, 100)
    assert (batch[..., 63:, :] == 0).all()
    mask = artifact.mask_of(artifact.open(threads=1)(batch), batch, valid, (63, 100))
    assert mask.shape == (63, 100)


def test_artifact_folder_is_checked(tmp_path, tiny):
    with pytest.raises(DeployError, match='holds no artifact.json'):
        Artifact.load(str(tmp_path))
    (tmp_path / 'artifact.json').write_text((Path(tiny[0].folder) / 'artifact.json').read_text())
    with pytest.raises(DeployError, match='has lost its file end2end.onnx'):
        Artifact.load(str(tmp_path))


def test_compare_counts_labels(tiny):
    from bisenet_plugins.deploy.verify import compare
    image = synthetic_samples(1, (64, 128))[0].image
    report = compare(tiny[0].folder, tiny[1], [Sample(image, np.zeros((64, 128), np.int64))], threads=1)
    assert report['miou_pytorch'] == pytest.approx(report['miou_artifact'], abs=0.1)
