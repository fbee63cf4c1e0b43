"""The console command: its help is quick, a failure is one sentence and an exit status."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from bisenet_plugins.cli.main import COMMANDS, explain_failure, run_module
from bisenet_plugins.errors import ConfigError, MissingPackageError

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ('torch', 'mmcv', 'mmengine', 'mmseg', 'cv2', 'numpy')


def python(code, **options):
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    return subprocess.run([sys.executable, '-W', 'ignore', '-c', code], env=environment, capture_output=True, text=True,
                          timeout=120, check=False, **options)


def command(run, add_arguments=lambda parser: None, **extra):
    """A command that does ``run``."""
    return SimpleNamespace(__doc__='A command.', add_arguments=add_arguments, run=run, **extra)


def fail_with(error):
    def run(args):
        raise error

    return command(run)


@pytest.mark.parametrize('name', COMMANDS)
def test_every_command_has_help_and_a_description(bisenet, name):
    module = import_module(f'bisenet_plugins.cli.{name.replace("-", "_")}')
    status, told, _ = bisenet(name, '--help')
    assert status == 0 and told.startswith(f'usage: bisenet {name}') and '--debug' in told
    assert ' '.join(module.__doc__.splitlines()[0].split()) in ' '.join(told.split())


def test_the_help_lists_the_commands_and_an_unknown_one_names_them(bisenet):
    status, told, _ = bisenet('--help')
    assert status == 0 and all(f'  {name} ' in told for name in COMMANDS)
    status, _, told = bisenet('predit')
    assert status == 2 and "invalid choice: 'predit'" in told and 'predict' in told


def test_help_imports_nothing_heavy():
    """No command does, before it runs; the package itself is not loaded for it."""
    done = python(f'''
import sys, bisenet_cli
for name in {list(COMMANDS)}:
    try:
        bisenet_cli.main(argv=[name, '--help'])
    except SystemExit as end:
        assert end.code == 0
print('loaded', [name for name in {HEAVY} if name in sys.modules])
''')
    assert done.stdout.splitlines()[-1:] == ['loaded []'], done.stderr


@pytest.mark.parametrize('words, sentence', [
    (['train', 'none.py'], 'config: expected a file, or a name that "bisenet list" has, got none.py'),
    (['verify', 'folder', '--config', 'none.py'],
     'config: expected a file, or a name that "bisenet list" has, got none.py'),
    (['verify', 'folder'], 'folder holds no artifact.json; give the folder, or ONNX file, that "export" wrote'),
    (['test', __file__, 'none.pth'], 'no checkpoint at none.pth'),
    (['convert', 'none', 'out'], 'no checkpoint at none'),
    *((words, 'config: expected a file, or a name that "bisenet list" has, got bisenetv2-camvd; did you mean '
       "'bisenetv2-camvid'?") for words in (['config', 'bisenetv2-camvd'],
                                            ['export', 'bisenetv2-camvd', '--out', 'out']))])
def test_what_is_not_there_is_said_before_anything_is_loaded(words, sentence):
    done = python(f"""
import sys, bisenet_cli
status = bisenet_cli.main(argv={words})
print(status, [name for name in {HEAVY[:4]} if name in sys.modules])
""")
    assert (done.stdout, done.stderr) == ('1 []\n', f'error: {sentence}\n')


def test_the_package_as_a_command_reads_its_options_first(tmp_path):
    words = [sys.executable, '-W', 'ignore', '-X', 'importtime', '-m', 'bisenet_plugins', 'list', '--help']
    done = subprocess.run(words, env={**os.environ, 'PYTHONPATH': str(ROOT)}, cwd=tmp_path, capture_output=True,
                          text=True, timeout=120, check=True)
    loaded = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
    assert done.stdout.startswith('usage: bisenet list') and 'bisenet_plugins.cli.main' in loaded
    assert not loaded & {*HEAVY, 'bisenet_plugins.parts'}


def test_a_program_that_names_the_package_in_its_options_has_it_whole(tmp_path):
    (tmp_path / 'robot').mkdir()
    (tmp_path / 'robot' / '__init__.py').write_text('from bisenet_plugins import Predictor')
    (tmp_path / 'robot' / '__main__.py').write_text('from robot import Predictor; print(Predictor.__name__)')
    words = [sys.executable, '-W', 'ignore', '-m', 'robot', '--backend', 'bisenet_plugins']
    done = subprocess.run(words, env={**os.environ, 'PYTHONPATH': str(ROOT)}, cwd=tmp_path, capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.stdout == 'Predictor\n', done.stderr


@pytest.mark.parametrize('words, backend', [(['list', '--help'], 'Agg'), (['test', '--show', '--help'], 'none')])
def test_plots_need_no_window_unless_one_is_asked_for(words, backend):
    done = python(f'''
import os, bisenet_cli
os.environ['MPLBACKEND'] = 'none'
try:
    bisenet_cli.main(argv={words})
except SystemExit:
    print(os.environ['MPLBACKEND'])
''')
    assert done.stdout.splitlines()[-1:] == [backend], done.stderr


@pytest.mark.slow
def test_the_package_is_loaded_before_a_command_runs(tmp_path):
    (tmp_path / 'empty.py').touch()
    done = python('''
import sys, bisenet_cli
status = bisenet_cli.main(argv=['train', 'empty.py'])
import bisenet_plugins
print(status, bisenet_plugins.BilateralNetwork.__name__, bisenet_plugins.cli.main.__name__)
''', cwd=tmp_path)
    assert done.stdout.splitlines()[-1:] == ['1 BilateralNetwork bisenet_plugins.cli.main'], done.stderr
    assert done.stderr.splitlines()[-1].startswith('error: config: expected model')


@pytest.mark.parametrize('name, words', [
    ('export', ['bisenetv2-camvid', '--out', 'a']), ('config', ['bisenetv2-camvid']), ('demo', []),
    ('predict', ['a.png']), ('verify', ['folder', '--pretrained', 'bisenetv2-camvid']), ('train', [__file__])])
def test_what_need_not_be_a_file_is_loaded_for(name, words):
    module, loaded = import_module(f'bisenet_plugins.cli.{name}'), []
    assert run_module(command(lambda args: 0, add_arguments=module.add_arguments), 'bisenet', words,
                      load=lambda: loaded.append(name)) == 0
    assert loaded == [name]


@pytest.mark.parametrize('error, sentence', [
    (ConfigError('expected a, got b'), 'expected a, got b'),
    (ValueError('side: expected 1,\n got 2'), 'side: expected 1, got 2'),
    (FileNotFoundError('there is no a.png'), 'there is no a.png'),
    (OSError(28, 'No space left on device', 'a.png'), 'a.png: No space left on device'),
    (PermissionError(13, 'Permission denied', b'a\xff.png'), r'a\udcff.png: Permission denied'),
    (ConfigError('a\x1b[2Jb'), r'a\x1b[2Jb'),
    (KeyError('model'), "KeyError: 'model' (--debug shows where)"),
    (ModuleNotFoundError("No module named 'a'"), 'No module named \'a\'; "bisenet doctor" says what to install'),
    (MissingPackageError('nncf is not installed: pip install nncf'), 'nncf is not installed: pip install nncf'),
])
def test_a_failure_is_one_printable_line(error, sentence):
    assert explain_failure(error) == sentence


def test_a_failure_has_the_exit_status_of_its_error(capsys):
    class OwnError(ConfigError):
        exit_code = 7

    assert run_module(fail_with(OwnError('a')), 'a', []) == 7
    assert run_module(fail_with(RuntimeError('b')), 'a', []) == 1
    assert capsys.readouterr().err == 'error: a\nerror: RuntimeError: b (--debug shows where)\n'


def test_debug_shows_the_traceback():
    with pytest.raises(KeyError):
        run_module(fail_with(KeyError('model')), 'a', ['--debug'])


def test_an_interrupt_says_how_to_resume(capsys):
    assert run_module(fail_with(KeyboardInterrupt()), 'a', []) == 130
    stopped = fail_with(KeyboardInterrupt())
    stopped.RESUME = 'run the same command to resume'
    assert run_module(stopped, 'a', []) == 130
    swallowed = SyntaxError('told by a library')
    swallowed.__context__ = KeyboardInterrupt()
    assert run_module(fail_with(swallowed), 'a', []) == 130
    assert capsys.readouterr().err == 'interrupted\ninterrupted; run the same command to resume\ninterrupted\n'


def test_a_status_of_a_command_is_its_own():
    assert run_module(command(lambda args: None), 'a', []) == 0
    assert run_module(command(lambda args: 5), 'a', []) == 5


def test_the_package_is_loaded_only_for_commands_that_need_it():
    loaded = []
    run_module(command(lambda args: 0, NEEDS_PACKAGE=False), 'a', [], lambda: loaded.append('no'))
    run_module(command(lambda args: 0), 'a', [], lambda: loaded.append('yes'))
    assert loaded == ['yes']


def test_a_closed_pipe_is_silent(tmp_path):
    done = subprocess.run(
        ['bash', '-c', f'{sys.executable} -W ignore -m bisenet_cli doctor | true; echo ${{PIPESTATUS[0]}}'],
        env={**os.environ, 'PYTHONPATH': str(ROOT)}, capture_output=True, text=True, timeout=120, check=False,
        cwd=tmp_path)
    assert done.stdout == '141\n' and 'Traceback' not in done.stderr and 'BrokenPipe' not in done.stderr


@pytest.mark.parametrize('streams', ['>&-', '2>&-', '>&- 2>&-', '>/dev/null'])
def test_closed_streams_and_names_that_an_encoding_lacks_do_not_end_the_work(tmp_path, streams):
    code = ("import sys; from bisenet_plugins.cli import main, list as module; "
            "module.run = lambda args: print('gr\\u00fcn') or print('gr\\u00fcn', file=sys.stderr); "
            "sys.exit(main.run_module(module, 'a', []))")
    done = subprocess.run(
        ['bash', '-c', f'{sys.executable} -W ignore -c "{code}" {streams}'], capture_output=True, text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'PYTHONIOENCODING': 'ascii:strict', 'PYTHONOPTIMIZE': '2'},
        cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == 0 and done.stderr in ('', 'gr\\xfcn\n') and done.stdout in ('', 'gr\\xfcn\n')
