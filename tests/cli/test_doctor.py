"""The doctor names what is wrong and the line that fixes it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bisenet_plugins.cli.doctor import NEEDED, OPTIONAL, _import_error, examine

ROOT = Path(__file__).resolve().parents[2]
SOUND = {
    'torch': [('torch', '2.13.0+cpu')], 'numpy': [('numpy', '2.4.6')], 'cv2': [('opencv-python', '5.0.0')],
    'matplotlib': [('matplotlib', '3.11')], 'mmcv': [('onedl-mmcv', '2.3.6')],
    'mmengine': [('onedl-mmengine', '0.10.12')], 'mmseg': [('onedl-mmsegmentation', '1.4.2')],
    'setuptools': [('setuptools', '80.1')], 'mmcv._ext': [('onedl-mmcv', '2.3.6')],
}
CLASSIC = {**SOUND, 'mmcv': [('mmcv', '2.1.0')], 'mmengine': [('mmengine', '0.10.7')],
           'mmseg': [('mmsegmentation', '1.2.2')]}


def look(stack, python=(3, 11, 7), **changes):
    return examine({**stack, **changes}, python, lambda name: '')


@pytest.mark.parametrize('stack', [SOUND, CLASSIC])
def test_both_stacks_are_sound(stack):
    report = look(stack)
    assert report.ok
    assert all('(optional)' in finding.text for finding in report.findings)
    assert 'All required packages are installed.' in report.to_text()


@pytest.mark.parametrize(('stack', 'changes', 'text', 'fix'), [
    (SOUND, dict(python=(3, 9, 1)), 'Python 3.9.1 is outside 3.10 to 3.13', 'make setup PYTHON=python3.12'),
    (SOUND, dict(mmseg=[]), 'mmseg is not installed', 'pip install onedl-mmsegmentation==1.4.2'),
    (SOUND, dict(torch=[('torch', '2.5.1')]), 'torch 2.5.1 is older than 2.6', 'pip install torch==2.13.0'),
    (CLASSIC, dict(mmcv=[('mmcv', '2.2.0')]), 'mmsegmentation 1.2.2 refuses mmcv 2.2.0', 'mmcv==2.1.0'),
    (CLASSIC, dict(setuptools=[('setuptools', '82.0')]), 'pkg_resources, which the open-mmlab stack needs',
     'pip install "setuptools<81"'),
    (CLASSIC, dict(setuptools=[]), 'pkg_resources, which the open-mmlab stack needs', 'pip install "setuptools<81"'),
    (SOUND, dict(mmengine=[('mmengine', '0.10.7'), ('onedl-mmengine', '0.10.12')]),
     'mmengine is installed 2 times, by mmengine and onedl-mmengine', 'pip uninstall -y mmengine onedl-mmengine'),
])
def test_what_blocks_comes_first_with_its_fix(stack, changes, text, fix):
    report = look(stack, **changes)
    assert not report.ok
    assert report.findings[0].blocks
    assert text in report.findings[0].text
    assert fix in report.findings[0].fix
    told = report.to_text()
    assert told.index('Blocks:') < told.index(text) < told.index('Good to know:')


@pytest.mark.parametrize(('changes', 'text', 'fix'), [
    (dict(setuptools=[('setuptools', '82.0')]), 'setuptools 82 and later lack pkg_resources',
     'pip install "setuptools<81"'),
    (dict(mmengine=[('mmengine', '0.10.7')]), 'the stack is mixed',
     'pip install onedl-mmcv==2.3.6 onedl-mmengine==0.10.12 onedl-mmsegmentation==1.4.2'),
    ({'mmcv._ext': []}, 'mmcv has no compiled operators; nothing here needs them', ''),
    (dict(cv2=[('opencv-python', '5'), ('opencv-python-headless', '5')]), 'cv2 is installed 2 times',
     'pip uninstall -y opencv-python opencv-python-headless && pip install --no-deps opencv-python'),
])
def test_what_does_not_block_is_told(changes, text, fix):
    report = look(SOUND, **changes)
    assert report.ok
    assert text in report.findings[0].text and report.findings[0].fix == fix


@pytest.mark.parametrize('name', [*NEEDED, *OPTIONAL])
def test_what_is_missing_comes_with_the_line_that_installs_it(name):
    report = look(SOUND, **{name: []})
    (finding, ) = [one for one in report.findings if one.text.startswith(f'{name} is not installed')]
    assert finding.blocks == (name in NEEDED) and report.ok == (name in OPTIONAL)
    assert finding.fix == f'pip install {({**NEEDED, **OPTIONAL})[name]}'


def test_what_works_without_the_mm_stack_is_said():
    stack = {name: SOUND[name] for name in ('numpy', 'cv2')}
    told = 'Segmenting with the networks in the package and with exported ones needs none of them.'
    assert look(stack, onnxruntime=[('onnxruntime', '1.30')]).to_text().endswith(told)
    failing = examine({**stack, 'onnxruntime': [('onnxruntime', '1')]}, (3, 11, 7), {'cv2': 'ImportError: libGL'}.get)
    assert 'import cv2 fails' in failing.to_text() and told not in failing.to_text()
    assert told not in look(stack).to_text() and told not in look(SOUND).to_text()


def test_an_import_that_fails_names_the_missing_package():
    report = examine(SOUND, (3, 11, 7), lambda name: "No module named 'ftfy'" if name == 'mmseg' else '')
    assert (report.findings[0].text, report.findings[0].fix) == (
        "import mmseg fails: No module named 'ftfy'", 'pip install ftfy')
    assert _import_error('no_such_module') == "ModuleNotFoundError: No module named 'no_such_module'"


def test_this_installation_is_sound(bisenet):
    status, told, _ = bisenet('doctor')
    assert status == 0 and 'All required packages are installed.' in told
    status, told, _ = bisenet('doctor', '--json')
    loaded = json.loads(told)
    assert status == 0 and loaded['ok'] is True
    assert {'torch', 'mmseg'} <= {package['name'] for package in loaded['packages'] if package['version']}


def test_a_broken_stack_is_examined_too(tmp_path):
    """The package itself cannot be imported there."""
    (tmp_path / 'mmseg.py').write_text('raise ImportError("broken on purpose")')
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run([sys.executable, '-W', 'ignore', '-m', 'bisenet_cli', 'doctor'], env=environment,
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and 'import mmseg fails: ImportError: broken on purpose' in done.stdout
    done = subprocess.run([sys.executable, '-W', 'ignore', '-m', 'bisenet_cli', 'train', __file__], env=environment,
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith('error: broken on purpose')
