"""What a deployment writes, a folder or one ONNX file, as it is read back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bisenet_plugins.errors import DeployError, InputError
from bisenet_plugins.runtime.artifact import Artifact
from bisenet_plugins.runtime.preprocess import Preprocess
from bisenet_plugins.weights.store import pretrained_names, shipped_graph

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def artifact(folder='', **settings):
    file = 'end2end.onnx'
    settings = dict(precision='fp32', classes=[*'abcde']) | settings
    return Artifact(backend='onnxruntime', file=file, graph=file, num_classes=5, folder=str(folder), **settings)


def test_what_is_written_is_read(tmp_path):
    made = artifact(tmp_path, shape=(64, 128), network_size=(32, 64), channel_order='bgr', palette=[[1, 2, 3]],
                    preprocess=Preprocess(mean=[1.0] * 3, std=[2.0] * 3, size=(64, 128)))
    (tmp_path / 'end2end.onnx').write_bytes(b'')
    made.save()
    (tmp_path / 'end2end.onnx').unlink()
    with pytest.raises(DeployError, match='has lost its file end2end.onnx'):
        Artifact.load(str(tmp_path))
    (tmp_path / 'end2end.onnx').write_bytes(b'')
    assert Artifact.load(str(tmp_path)) == made and list(made.sha256) == ['end2end.onnx']
    (tmp_path / 'end2end.onnx').write_bytes(b'1')
    with pytest.raises(DeployError, match='end2end.onnx: expected the bytes that "export" wrote'):
        Artifact.load(str(tmp_path))


@pytest.mark.parametrize('text', ['{}', '[]', '{', '{"preprocess": {}, "color": 1}', '{"preprocess": 1}',
                                  pytest.param('[' * 100_000, id='deep')])
def test_anything_else_is_refused_in_one_sentence(tmp_path, text):
    with pytest.raises(DeployError, match='holds no artifact.json'):
        Artifact.load(str(tmp_path))
    (tmp_path / 'artifact.json').write_text(text)
    with pytest.raises(DeployError, match='artifact.json: expected what "export" wrote'):
        Artifact.load(str(tmp_path))


@pytest.mark.parametrize(('key', 'value', 'match'), [
    ('preprocess.std', [0, 0, 0], r'Preprocess.std: expected a number above 0, got \[0, 0, 0\]'),
    ('preprocess.std', [1.0], r'mean and std: expected as many entries in both, got \(3, 1\)'),
    ('preprocess.mean', ['a'] * 3, 'Preprocess.mean: expected'),
    ('preprocess.divisor', 0, 'preprocess.divisor: expected at least 1, got 0'),
    ('preprocess.scale_factor', 0.0, 'preprocess.scale_factor: expected a number above 0, got 0.0'),
    ('palette', [[999, 0, 0]], r'palette: expected at most 5 colours .* 0 to 255, got \[\[999, 0, 0\]'),
    ('palette', [[1, 2]], 'palette: expected at most 5 colours'), ('palette', [[1] * 3] * 6, 'palette: '),
    ('file', '../a/end2end.onnx', "file: expected the name of a file in the folder, got '../a/end2end.onnx'"),
    ('file', '/end2end.onnx', "file: expected the name of a file in the folder, got '/end2end.onnx'"),
    ('graph', 'a/end2end.onnx', 'graph: expected the name of a file in the folder'),
    ('sha256', {}, 'sha256: expected that of the file, got {}'),
    ('sha256', {'end2end.onnx': ''}, 'sha256: expected that of the file, got {.end2end.onnx.: ..}'),
    ('sha256', None, 'Artifact.sha256: expected'), ('classes', [], r'classes: expected 5 names'),
    ('classes', ['a'], r"classes: expected 5 names, as num_classes says, got \['a'\]"),
    ('channel_order', 'gbr', 'channel_order: expected one of'), ('precision', 'fp8', 'precision: expected one of')])
def test_values_that_no_export_writes_are_refused(tmp_path, key, value, match):
    (tmp_path / 'end2end.onnx').touch()
    artifact(tmp_path, preprocess=Preprocess([1.0] * 3, [2.0] * 3)).save()
    values = json.loads((tmp_path / 'artifact.json').read_text())
    *inner, name = key.split('.')
    (values[inner[0]] if inner else values)[name] = value
    (tmp_path / 'artifact.json').write_text(json.dumps(values))
    with pytest.raises(DeployError, match=f'artifact.json: expected what "export" wrote, got something else .{match}'):
        Artifact.load(str(tmp_path))


def test_a_file_of_the_folder_is_not_the_folder(tmp_path):
    (tmp_path / 'artifact.json').write_text('{}')
    with pytest.raises(DeployError, match='artifact.json holds no artifact.json; give the folder'):
        Artifact.load(str(tmp_path / 'artifact.json'))


def test_an_empty_name_is_told_so():
    with pytest.raises(DeployError, match='^an empty name holds no artifact.json; give the folder'):
        Artifact.load('')


def test_a_truncated_file_is_refused_in_one_sentence(tmp_path):
    pytest.importorskip('onnxruntime')
    (tmp_path / 'end2end.onnx').write_bytes(b'\x08\x08\x12')
    artifact(tmp_path).save()
    with pytest.raises(DeployError, match='end2end.onnx cannot be loaded by ONNX Runtime'):
        Artifact.load(str(tmp_path)).open(threads=1)


def test_a_self_contained_graph_gets_bytes():
    prepared = artifact(channel_order='rgb', preprocess=Preprocess(mean=[1.0] * 3, std=[1.0] * 3)).prepare(IMAGE)
    np.testing.assert_array_equal(prepared.inputs[0], IMAGE[..., ::-1])
    assert (prepared.size, prepared.window) == ((20, 30), (0, 20, 0, 30))
    static = artifact(channel_order='bgr', shape=(10, 12), preprocess=Preprocess(size=(10, 12))).prepare(IMAGE)
    assert (static.inputs.shape, static.window) == ((1, 10, 12, 3), (0, 8, 0, 12))
    with pytest.raises(InputError, match='image: expected a uint8 array'):
        artifact(channel_order='bgr', preprocess=Preprocess([1.0] * 3, [1.0] * 3)).prepare(IMAGE[..., 0])


def test_a_static_graph_gets_its_batch():
    batch, prepared = artifact(batch=3, shape=(16, 32), preprocess=Preprocess(size=(16, 32))).batch_of(IMAGE, 'a.png')
    assert batch.shape == (3, 3, 16, 32)
    assert prepared.inputs.shape == (1, 3, 16, 32)
    assert json.dumps(prepared.size) == '[20, 30]'
    with pytest.raises(InputError, match='a.png: image: expected a uint8 array'):
        artifact(preprocess=Preprocess(mean=[1.0] * 3, std=[1.0] * 3)).batch_of(IMAGE[..., :2], 'a.png')


def test_an_onnx_file_alone_is_enough(tmp_path):
    onnx = pytest.importorskip('onnx')
    made = artifact(tmp_path, shape=(64, 128), classes=[*'abcde'], palette=[[1, 2, 3], [4, 5, 6]], threshold=0.3,
                    precision='fp16', checks=dict(miou_artifact=64.567),
                    preprocess=Preprocess(mean=[1.0] * 3, std=[2.0] * 3, size=(64, 128)))
    model = onnx.ModelProto()
    onnx.helper.set_model_props(model, made.metadata('end2end.onnx'))
    (tmp_path / 'moved.onnx').write_bytes(model.SerializeToString())
    alone = Artifact.load(str(tmp_path / 'moved.onnx'))
    assert alone == replace(made, file='moved.onnx')
    plain = {key: json.loads(text) for key, text in made.metadata('end2end.onnx').items()
             if key in ('classes', 'palette', 'mean', 'std', 'mIoU')}
    assert plain == dict(classes=[*'abcde'], palette=[[1, 2, 3], [4, 5, 6]], mean=[1.0] * 3, std=[2.0] * 3, mIoU=64.57)
    assert made.metadata('other.onnx')['layout'] == 'NCHW'
    assert json.loads(made.metadata('other.onnx')['bisenet_plugins'])['precision'] == 'fp32'


def test_an_onnx_file_of_others_is_refused(tmp_path):
    onnx = pytest.importorskip('onnx')
    (tmp_path / 'theirs.onnx').write_bytes(onnx.ModelProto(ir_version=8).SerializeToString())
    with pytest.raises(DeployError, match='theirs.onnx: expected what "export" wrote'):
        Artifact.load(str(tmp_path / 'theirs.onnx'))


def test_the_graph_beside_an_int8_one_has_figures_of_its_own_or_none():
    made = replace(artifact(precision='int8', checks=dict(miou_artifact=36.6), quantization=dict(drop=0.1)),
                   graph='end2end_int8.onnx', file='end2end_int8.onnx')
    int8, plain = made.metadata('end2end_int8.onnx'), made.metadata('end2end.onnx')
    assert int8['mIoU'] == '36.60' and 'mIoU' not in plain
    told = json.loads(plain['bisenet_plugins'])
    assert (told['precision'], told['checks'], told['quantization'], told['file']) == ('fp32', {}, {}, 'end2end.onnx')
    assert json.loads(int8['bisenet_plugins'])['quantization'] == dict(drop=0.1)


def test_a_file_that_is_replaced_before_it_is_opened_is_refused(tmp_path):
    (tmp_path / 'end2end.onnx').touch()
    artifact(tmp_path).save()
    made = Artifact.load(str(tmp_path))
    (tmp_path / 'end2end.onnx').write_bytes(b'1')
    with pytest.raises(DeployError, match='end2end.onnx: expected the bytes that "export" wrote, whose checksum '):
        made.open(threads=1)


@pytest.mark.parametrize('precision', ['fp32', 'int8'])
@pytest.mark.parametrize('name', pretrained_names())
def test_a_graph_of_the_package_has_the_precision_that_the_index_says(name, precision):
    assert Artifact.load(str(shipped_graph(name, precision))).precision == precision
