"""Triton's model repository fits the graph; tests/examples asks a server of one for a mask."""

from pathlib import Path

import pytest

from bisenet_plugins.deploy import DeployOptions
from bisenet_plugins.deploy.triton import check_triton, model_config, write_repository
from bisenet_plugins.errors import DeployError, InputError
from tests.deploy.conftest import make, needs

onnxruntime = pytest.importorskip('onnxruntime')
pytestmark = needs('mmdeploy', 'onnx', 'onnxruntime')


def test_a_dynamic_graph_is_batched(tiny, tmp_path):
    artifact = make(tiny, tmp_path / 'a', channel_order='bgr', verify=False)
    folder = Path(write_repository(artifact, str(tmp_path / 'repository')))
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()) == [
        '1/model.onnx', 'config.pbtxt', 'labels.txt']
    config = (folder / 'config.pbtxt').read_text()
    value, = onnxruntime.InferenceSession(str(folder / '1' / 'model.onnx')).get_inputs()
    assert f'name: "{value.name}", data_type: TYPE_UINT8, dims: [-1, -1, 3]' in config and value.type == 'tensor(uint8)'
    assert f'name: "{folder.name}"' in config and 'max_batch_size: 8' in config and 'dynamic_batching' in config
    assert (folder / '1' / 'model.onnx').read_bytes() == Path(artifact.path).read_bytes()


def test_another_graph_is_refused(tiny):
    with pytest.raises(DeployError, match=r'x: expected a graph from bytes to bytes, got .*float'):
        model_config('x', tiny[0].open(threads=1).session)


def test_what_cannot_be_served_is_refused_early(tmp_path):
    for options, got in ((DeployOptions(), '--format onnx --output mask without --self-contained'),
                         (DeployOptions(backend='openvino', output='logits', channel_order='rgb'),
                          '--format openvino --output logits --self-contained rgb')):
        with pytest.raises(InputError, match=f'triton: expected --format onnx --output mask .*, got {got}$'):
            check_triton(str(tmp_path), 'out', options)
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='triton: expected a folder'):
        check_triton(str(tmp_path / 'file'), 'out', DeployOptions(channel_order='rgb'))
    (tmp_path / 'net.1').mkdir()
    for out, options in (('runs/net.2', {}), ('runs/net.1', dict(overwrite=True))):
        check_triton(str(tmp_path), out, DeployOptions(channel_order='rgb', **options))
    with pytest.raises(InputError, match=r'triton: expected no .*net\.1, or --overwrite, got'):
        check_triton(str(tmp_path), 'runs/net.1', DeployOptions(channel_order='rgb'))
