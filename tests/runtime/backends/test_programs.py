"""Programs are loaded, or refused in one sentence; tests/deploy/test_programs.py compares them with their network."""

import io
import json
import os
import zipfile

import numpy as np
import pytest
import torch

from bisenet_plugins.errors import DeployError
from bisenet_plugins.runtime.backends import open_backend, programs


def test_a_program_shows_its_output_where_it_is_scores(tmp_path):
    inputs = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    for module, shown in ((torch.nn.ReLU(), True), (Classes(), False)):
        torch.export.save(torch.export.export(module, (torch.from_numpy(inputs),)), tmp_path / 'm.pt2')
        backend = open_backend('torch-export', tmp_path / 'm.pt2')
        np.testing.assert_array_equal(backend(inputs), module(torch.from_numpy(inputs)).numpy())
        assert (backend.scores(inputs) is not None) == shown


class Classes(torch.nn.Module):
    def forward(self, x):
        return x.argmax(1)


def test_a_damaged_program_is_refused_in_one_sentence(tmp_path):
    (tmp_path / 'm.pt2').write_bytes(b'no program')
    with pytest.raises(DeployError, match=r'm\.pt2 cannot be loaded by torch-export: '):
        open_backend('torch-export', tmp_path / 'm.pt2')


def program(tmp_path, change):
    """A program of free sides in which a piece of text, or the example inputs, is another one."""
    dims = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    exported = torch.export.export(torch.nn.AvgPool2d(2), (torch.zeros(1, 3, 8, 12),), dynamic_shapes=(dims,))
    torch.export.save(exported, tmp_path / 'good.pt2')
    with zipfile.ZipFile(tmp_path / 'good.pt2') as good, zipfile.ZipFile(tmp_path / 'm.pt2', 'w') as file:
        for name in good.namelist():
            file.writestr(name, change(name, good.read(name)))
    return tmp_path / 'm.pt2'


def rewritten(**texts):
    """What replaces every text of these keys in a program's JSON."""
    return lambda name, content: content if 'models/' not in name else json.dumps(json.loads(
        content, object_hook=lambda node: node | {key: text for key, text in texts.items() if key in node})).encode()


def test_a_program_of_free_sides_is_taken(tmp_path, monkeypatch):
    monkeypatch.delenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', raising=False)
    backend = open_backend('torch-export', program(tmp_path, rewritten()))
    assert backend(np.ones((1, 3, 16, 10), np.float32)).shape == (1, 3, 8, 5)
    assert 'TORCH_FORCE_WEIGHTS_ONLY_LOAD' not in os.environ


@pytest.mark.parametrize(('key', 'text'), [
    ('expr_str', '__import__("os").mkdir("{}")'), ('expr_str', 'exec(chr(111))'), ('expr_str', '(eval)(1)'),
    ('expr_str', "S('eval' '(1)')"), ('expr_str', 'Max(1, s0).evalf(2)'), ('name', 'x=print()'),
    ('guards_code', ["L['x'].size()[2] == exec('1')"]), ('guards_code', ['min(2, exec(1))']),
    ('target', 'torch.os.mkdir'), ('target', '_operator.call'),
    ('target', 'torch.load'), ('target', 'torch.ops.load_library'), ('target', 'torch.ops.aten.__class__.mro'),
    ('in_spec', '[1, {"type": "collections.defaultdict"}]')])
def test_a_program_that_runs_code_is_refused(tmp_path, key, text):
    sign = tmp_path / 'sign'
    text = text.format(sign) if isinstance(text, str) and '"{}"' in text else text
    with pytest.raises(DeployError, match=f'm.pt2 cannot be loaded by torch-export: {key}: expected the name of an op'):
        open_backend('torch-export', program(tmp_path, rewritten(**{key: text})))
    assert not sign.exists()


@pytest.mark.parametrize('text', ["Max(1, s0)", 's77', '2*(s0//4) + 1', 'not (s0 > 2)', 's0 % 2 != 1', 'relu__1',
                                  "Float('0.5', precision=53)", "min(192*L['x'].size()[1], max(2, s0)) // 2 >= 2",
                                  "Mul(Integer(3), Symbol('s0', positive=True, integer=True))"])
def test_arithmetic_is_harmless(text):
    assert programs._harmless([('expr_str', text)]) == dict(expr_str=text)


class Runs:
    """A pickle of it makes a folder when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_example_inputs_that_run_code_are_not_read(tmp_path):
    contents = io.BytesIO()
    torch.save(Runs(str(tmp_path / 'sign')), contents)
    path = program(tmp_path, lambda name, old: contents.getvalue() if 'sample_inputs' in name else old)
    with pytest.raises(DeployError, match=r'm\.pt2 cannot be loaded by torch-export: '):
        open_backend('torch-export', path)
    assert not (tmp_path / 'sign').exists()


def test_machine_code_is_refused(tmp_path):
    path = program(tmp_path, lambda name, old: old)
    with zipfile.ZipFile(path, 'a') as file:
        file.writestr('m/data/aotinductor/model/x.so', b'')
    with pytest.raises(DeployError, match='expected a program, got the machine code m/data/aotinductor/model/x.so'):
        open_backend('torch-export', path)
