"""What can be asked for, what is refused, and mmdeploy's config; tests/test_configs.py checks the files."""

import pytest

from bisenet_plugins.deploy import DeployOptions, parse_shape
from bisenet_plugins.errors import InputError
from bisenet_plugins.runtime.preprocess import Preprocess


def test_shapes_are_height_first():
    config = DeployOptions(backend='tensorrt', precision='fp16', shape=(512, 1024)).deploy_config()
    assert config['onnx_config']['input_shape'] == [1024, 512]
    profile = config['backend_config']['model_inputs'][0]['input_shapes']['input']
    assert profile['opt_shape'] == [1, 3, 512, 1024]


def test_dynamic_engine_takes_up_to_the_batch():
    profile = DeployOptions(backend='tensorrt-rtx', batch=4, max_shape=(256, 40)).profile()
    assert profile == dict(min_shape=[1, 3, 64, 40], opt_shape=[1, 3, 256, 40], max_shape=[4, 3, 256, 40])


def test_the_input_has_the_network_s_channels():
    profile = DeployOptions(backend='tensorrt', channels=1, shape=(33, 64)).profile()
    assert profile['opt_shape'] == [1, 1, 33, 64]


def test_the_opset_is_the_exporter_s():
    assert [DeployOptions().opset, DeployOptions(exporter='program').opset] == [17, 18]
    assert DeployOptions(opset=13).opset == 13


def test_bytes_have_their_own_axes():
    axes = DeployOptions(channel_order='bgr').deploy_config()['onnx_config']['dynamic_axes']
    assert axes == dict(input={0: 'batch', 1: 'height', 2: 'width'}, output={0: 'batch', 1: 'height', 2: 'width'})


@pytest.mark.parametrize(('arguments', 'match'), [
    (dict(backend='caffe'), "backend: expected one of .*, got 'caffe'"),
    (dict(precision='int4'), "precision: expected one of .*, got 'int4'"),
    (dict(output='boxes'), "output: expected one of .*, got 'boxes'"),
    (dict(channel_order='gbr'), "channel_order: expected one of .*, got 'gbr'"),
    (dict(search='maybe'), "search: expected one of .*, got 'maybe'"),
    (dict(opset=12), 'opset: expected 13 to 17 of exporter trace, got 12'),
    (dict(opset=17, exporter='program'), 'opset: expected 18 to 23 of exporter program, got 17'),
    (dict(exporter='magic'), "exporter: expected one of .*, got 'magic'"),
    (dict(calibration_method='guess'), "calibration_method: expected one of .*, got 'guess'"),
    (dict(stretch=True), 'stretch: expected a static shape.* got stretch=True'),
    (dict(backend='ncnn', shape=(64, 64)), "shape and output: expected .* got shape=.64, 64., output='mask'"),
    (dict(backend='executorch'), 'shape and output: expected a static shape'),
    (dict(backend='torch-export', precision='fp16'), 'precision: expected fp32, because the format is torch-export'),
    (dict(backend='torch-export', exporter='program'), 'exporter: expected none, because the format torch-export'),
    (dict(exporter='program', precision='int8'), 'precision: expected exporter trace'),
    (dict(backend='openvino', calibration_method='entropy'), 'calibration_method and ranges: expected auto'),
    (dict(backend='openvino', ranges='r'), 'calibration_method and ranges: expected auto'),
    (dict(backend='ncnn', channel_order='rgb'), 'channel_order: expected none, as ncnn takes floats'),
    (dict(batch=0), 'batch: expected at least 1, got 0'),
    (dict(image_count=0), 'image_count: expected at least 1, got 0'),
    (dict(calibration_images=-1), 'calibration_images: expected at least 1, got -1'),
    (dict(threads=-1), 'threads: expected at least 0, got -1'),
    (dict(max_drop=float('nan')), 'max_drop: expected at least 0, got nan'),
    (dict(shape=(0, 64)), r'shape: expected height and width of at least 32 .*, got \(0, 64\)'),
    (dict(shape=(64, 31)), r'shape: expected height and width of at least 32 .*, got \(64, 31\)'),
    (dict(shape=(99999, 99999)), r'shape: expected .* at most 67108864 pixels in all, got \(99999, 99999\)'),
    (dict(max_shape=(64,)), r'max_shape: expected height and width of at least 32 .*, got \(64,\)'),
    (dict(compute_capabilities=['86']), r"compute_capabilities: expected the default, .* got .*\['86'\]"),
    (dict(channel_order='bgr', channels=1), 'channel_order and channels: expected none, .* got .*, channels=1'),
    (dict(max_shape=(64, 64)), r'max_shape: expected the default.* got max_shape=\(64, 64\)'),
    (dict(backend='tensorrt', shape=(64, 64), max_shape=(64, 64)), 'max_shape: expected the default'),
    (dict(calibration='train'), "calibration: expected none, .* got calibration='train'"),
    (dict(network_size=(64, 64)), 'network_size: expected a self-contained graph'),
    (dict(backend='torch-export', channel_order='rgb', pipeline=Preprocess(scale_factor=0.5)),
     'shape: expected a static'),
])
def test_what_cannot_work_is_refused(arguments, match):
    with pytest.raises(InputError, match=match):
        DeployOptions(**arguments)


@pytest.mark.parametrize('text', ['512', '0x4', '512 x 1024', 'auto'])
def test_shapes_are_read_strictly(text):
    with pytest.raises(InputError, match='shape: expected HEIGHTxWIDTH'):
        parse_shape(text)
