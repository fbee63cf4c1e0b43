"""Deploy configs: what they say, and that the files say the same."""

import pytest
from mmengine import Config

from bisenet_plugins.datasets.samples import load_samples, synthetic_samples
from bisenet_plugins.deploy.artifact import Preprocess
from bisenet_plugins.deploy.forms import DeployForm
from bisenet_plugins.deploy.settings import config_name, deploy_config, parse_config_name, parse_shape
from bisenet_plugins.deploy.verify import judge, latencies, require_agreement
from bisenet_plugins.errors import AgreementError, DeployError
from bisenet_plugins.runtime.backends import open_backend
from tests.deploy.conftest import ROOT, tiny_config

FILES = sorted((ROOT / 'configs' / 'deploy').glob('*.py'))


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_file_says_what_its_name_says(path):
    arguments = parse_config_name(path.name)
    config = Config.fromfile(path, import_custom_modules=False)
    assert config.to_dict() == Config(deploy_config(**arguments)).to_dict()
    assert config_name(arguments['backend'], arguments['precision'], arguments['shape'],
                       'channel_order' in arguments) == path.name


def test_there_are_files():
    backends = {parse_config_name(path.name)['backend'] for path in FILES}
    assert backends == {'onnxruntime', 'openvino', 'tensorrt', 'tensorrt-rtx'}


def test_shapes_are_height_first():
    config = deploy_config('tensorrt', 'fp16', (512, 1024))
    assert config['onnx_config']['input_shape'] == [1024, 512]
    profile = config['backend_config']['model_inputs'][0]['input_shapes']['input']
    assert profile['opt_shape'] == [1, 3, 512, 1024]


def test_bytes_have_their_own_axes():
    axes = deploy_config('onnxruntime', channel_order='bgr')['onnx_config']['dynamic_axes']
    assert axes == dict(input={0: 'batch', 1: 'height', 2: 'width'}, output={0: 'batch', 1: 'height', 2: 'width'})


@pytest.mark.parametrize(('arguments', 'match'), [
    (dict(backend='ncnn'), "backend is 'ncnn'"),
    (dict(backend='openvino', precision='int4'), "precision is 'int4'"),
    (dict(backend='openvino', output='boxes'), "output is 'boxes'"),
    (dict(backend='openvino', opset=12), 'opset is 12; it must be 13 to 17'),
])
def test_unknown_words_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        deploy_config(**arguments)


@pytest.mark.parametrize('text', ['512', '0x4', '512 x 1024', 'auto'])
def test_shapes_are_read_strictly(text):
    with pytest.raises(ValueError, match='it must be HEIGHTxWIDTH'):
        parse_shape(text)


def test_names_are_read_strictly():
    with pytest.raises(ValueError, match='is no name of a deploy config'):
        parse_config_name('segmentation_ncnn_dynamic.py')


def test_unknown_backend_cannot_be_opened():
    with pytest.raises(ValueError, match="backend is 'ncnn'"):
        open_backend('ncnn', 'x')


@pytest.mark.parametrize(('settings', 'match'), [
    (dict(output='boxes'), "output is 'boxes'"),
    (dict(channel_order='gbr'), "channel_order is 'gbr'"),
    (dict(network_size=(32, 64)), 'network_size is for the self-contained form'),
])
def test_form_is_checked(settings, match):
    from bisenet_plugins.runtime.predictor import Predictor
    with pytest.raises(ValueError, match=match):
        DeployForm(Predictor(tiny_config()).model, **settings)


def test_preprocess_is_read_from_the_config():
    config = tiny_config(test_cfg=dict(size_divisor=32))
    config.test_pipeline.insert(1, dict(type='Resize', scale=(200, 100), keep_ratio=True))
    pre = Preprocess.from_config(config)
    assert (pre.divisor, pre.scale, pre.to_rgb) == (32, (200, 100), True)
    assert pre.target_size(50, 80) == (100, 160)
    assert Preprocess.from_config(config, (64, 128)).target_size(50, 80) == (64, 128)


def test_preprocess_equals_the_data_preprocessor():
    import numpy as np
    import torch

    from bisenet_plugins.runtime.predictor import Predictor
    image = synthetic_samples(1, (32, 48))[0].image
    batch, valid = Preprocess.from_config(tiny_config())(image)
    pre = Predictor(tiny_config()).model.data_preprocessor
    expected = pre(dict(inputs=[torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))]))['inputs']
    torch.testing.assert_close(torch.from_numpy(batch), expected)
    assert valid == (32, 48)


def test_samples_come_from_a_folder_or_not_at_all(tmp_path):
    import cv2
    for i in range(5):
        cv2.imwrite(str(tmp_path / f'{i}.png'), synthetic_samples(1, (8, 16), i)[0].image)
    assert len(load_samples(str(tmp_path), 3)) == 3
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DeployError, match='holds no image'):
        load_samples(str(tmp_path / 'empty'), 3)
    with pytest.raises(DeployError, match='it must be a folder, a dataset config'):
        load_samples('nowhere', 3)
    with pytest.raises(DeployError, match='has no val_dataloader'):
        load_samples('val', 3, tiny_config())


@pytest.mark.parametrize(('report', 'missed'), [
    (dict(precision='fp32', agreement=99.995), 0), (dict(precision='fp32', agreement=99.98), 1),
    (dict(precision='fp16', agreement=99.95), 0), (dict(precision='fp16', agreement=99.8), 1),
    (dict(precision='int8', agreement=90.0), 0),
    (dict(precision='int8', agreement=90.0, miou_pytorch=70.0, miou_artifact=69.5), 0),
    (dict(precision='int8', agreement=99.0, miou_pytorch=70.0, miou_artifact=69.4), 1),
])
def test_thresholds(report, missed):
    assert len(judge(report)) == missed
    if missed:
        with pytest.raises(AgreementError, match='differs from the PyTorch model'):
            require_agreement(dict(report, backend='openvino'))


def test_latencies_take_turns():
    order = []
    times = latencies({name: lambda name=name: order.append(name) for name in 'ab'}, rounds=3, warmup=1)
    assert ''.join(order) == 'abababab'
    assert set(times) == {'a', 'b'}


def test_joined_and_repeated_datasets_give_the_first_ones_images():
    scenes = dict(type='StreetSceneDataset', length=3, size=(48, 64), pipeline=[dict(type='PackSegInputs')])
    joined = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=2, dataset=scenes)])
    samples = load_samples('train', 2, dict(train_dataloader=dict(dataset=joined)))
    assert [sample.image.shape for sample in samples] == [(48, 64, 3)] * 2
