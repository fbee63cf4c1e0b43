"""The scripts in ``tools/`` run the commands of the package."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from bisenet_plugins.cli.main import COMMANDS

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
SCRIPTS = sorted(
    path.relative_to(TOOLS).as_posix() for path in TOOLS.rglob('*.py') if 'bisenet_cli' in path.read_text())


@pytest.mark.parametrize('script', SCRIPTS)
def test_a_script_is_a_command(script, monkeypatch, capsys):
    command = re.search(r"main\('([\w-]+)'\)", (TOOLS / script).read_text())[1]
    assert command in COMMANDS
    monkeypatch.setattr(sys, 'argv', [str(TOOLS / script), '--help'])
    monkeypatch.setattr(sys, 'path', list(sys.path))
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOLS / script), run_name='__main__')
    assert end.value.code == 0 and f'usage: {Path(script).name}' in capsys.readouterr().out


def test_the_layout_is_that_of_mmseg():
    assert {'train.py', 'test.py', 'predict.py', 'deploy.py'} == {script for script in SCRIPTS if '/' not in script}
    assert {path.name for path in TOOLS.iterdir() if path.is_dir() and not path.name.startswith('__')} == {
        'analysis_tools', 'dataset_converters', 'model_converters'}


def test_a_script_runs_from_any_folder_without_an_installed_package(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run([sys.executable, '-W', 'ignore', str(TOOLS / 'train.py'), 'none.py'], cwd=tmp_path,
                          env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == (
        'error: config: expected a file, or a name that "bisenet list" has, got none.py')
