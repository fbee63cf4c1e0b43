"""The table of formats, on a tiny network."""

import json

import pytest

from benchmarks.formats import main
from tests.deploy.conftest import needs, tiny_config

pytestmark = needs('mmdeploy', 'onnx', 'onnxruntime')


@pytest.mark.slow
def test_every_row_says_its_state(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('bisenet_plugins.deploy.tensorrt_build.has_gpu', lambda: False)
    monkeypatch.setattr('benchmarks.formats.COMBINATIONS', [
        ('onnxruntime', 'fp32'), ('torch-export', 'fp32'), ('tensorrt', 'fp16')])
    tiny_config().dump(str(tmp_path / 'tiny.py'))
    words = [str(tmp_path / 'tiny.py'), '--formats', 'onnxruntime', 'torch-export', 'tensorrt', '--shape', '64x96',
             '--count', '1', '--rounds', '1', '--threads', '1', '--out', str(tmp_path / 'formats.json'),
             '--work-dir', str(tmp_path / 'built')]
    main(words)
    built = {path: path.stat().st_mtime_ns for path in (tmp_path / 'built').rglob('*')}
    main(words)
    assert built == {path: path.stat().st_mtime_ns for path in (tmp_path / 'built').rglob('*')} != {}
    onnx, program, engine = json.loads((tmp_path / 'formats.json').read_text())['rows']
    assert [onnx['state'], program['state']] == ['run', 'run'] and 'expected an NVIDIA GPU' in engine['state']
    for row in (onnx, program):
        assert row['agreement'] >= 99.99 and row['mb'] > 0 and row['ms']['rounds'] == 1
    assert 'ms' not in engine and 'onnxruntime fp32' in capsys.readouterr().out
