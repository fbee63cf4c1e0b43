"""mmdeploy's own pipeline with our parts, and what importing and registering them changes."""

import os
import subprocess
import sys

import numpy as np
import pytest

from bisenet_plugins.datasets.samples import synthetic_samples
from bisenet_plugins.runtime.predictor import Predictor
from tests.deploy.conftest import ROOT, needs, tiny_config

pytestmark = needs('mmdeploy', 'onnx', 'onnxruntime')
HEAVY = ('mmdeploy', 'onnx', 'onnxruntime', 'openvino')


def test_importing_loads_nothing_and_registering_changes_nothing_in_torch():
    code = (f'import sys, torch; before = torch.onnx.export; import bisenet_plugins.deploy as deploy; '
            f'print([name for name in {HEAVY} if name in sys.modules]); deploy.register(); deploy.register(); '
            f'assert torch.onnx.export is before; from mmdeploy.backend.base import get_backend_manager; '
            f'print(get_backend_manager("tensorrt_rtx").backend)')
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split('\n')[-3:] == ['[]', 'tensorrt-rtx', ''], done.stderr


@pytest.fixture
def quick_rewriters(monkeypatch):
    """mmdeploy searches the whole process for each function, and a process of tests has loaded everything."""
    from mmdeploy.core.rewriters import function_rewriter

    from bisenet_plugins.deploy.mmdeploy.managers import _replacer
    monkeypatch.setattr(function_rewriter, '_replace_all_obj', _replacer())


@pytest.mark.slow
@pytest.mark.usefixtures('quick_rewriters')
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


@pytest.mark.parametrize(('backend', 'size'), [
    (dict(type='onnxruntime'), None),
    (dict(type='openvino', model_inputs=[dict(opt_shapes=dict(input=[1, 3, 64, 128]))]), [128, 64])])
@pytest.mark.usefixtures('quick_rewriters')
def test_a_stock_deploy_config_is_enough(tiny, tmp_path, backend, size, monkeypatch):
    """mmdeploy's configs name none of our modules, ask for opset 11 and for its own optimizer."""
    if backend['type'] == 'openvino':
        pytest.importorskip('openvino', reason='openvino is not installed; see docs/deploy.md')
    from bisenet_plugins.deploy import register
    register()
    from mmdeploy.apis import torch2onnx
    from mmdeploy.apis.utils import build_task_processor, to_backend
    from mmdeploy.utils import get_root_logger
    from mmengine import Config
    told = []
    monkeypatch.setattr(get_root_logger(), 'warning', told.append)
    free = {0: 'batch', 2: 'height', 3: 'width'}
    stock = Config(dict(
        onnx_config=dict(type='onnx', export_params=True, keep_initializers_as_inputs=False, opset_version=11,
                         save_file='end2end.onnx', input_names=['input'], output_names=['output'], input_shape=size,
                         optimize=True, dynamic_axes=None if size else dict(input=free, output=free)),
        codebase_config=dict(type='mmseg', task='Segmentation', with_argmax=True), backend_config=backend))
    image, work = synthetic_samples(1, (64, 128))[0].image, str(tmp_path)
    torch2onnx(image, work, 'end2end.onnx', stock, tiny_config(), tiny[2], device='cpu')
    assert 'opset 11 is raised to 17: these networks need 13' in told
    files = to_backend(backend['type'], [os.path.join(work, 'end2end.onnx')], work, stock, device='cpu')
    processor = build_task_processor(tiny_config(), stock, 'cpu')
    data, _ = processor.create_input(image, size)
    result, = processor.build_backend_model(files, processor.update_data_preprocessor).test_step(data)
    assert np.mean(result.pred_sem_seg.data[0].numpy() == tiny[3](image)) > 0.999
