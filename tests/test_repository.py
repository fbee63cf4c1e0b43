"""The repository as a whole: one version, one test command, every part exported and described, no slips."""

import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from mmseg import registry

import bisenet_plugins
from bisenet_plugins.version import __version__

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ('benchmarks', 'bisenet_plugins', 'configs', 'tests', 'tools')
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob('*.py'))
TEXTS = sorted(path for pattern in ('README.md', 'CONTRIBUTING.md', 'Makefile', 'setup.cfg', 'benchmarks/*.md',
                                    'bisenet_plugins/**/*.html', 'configs/**/*.md', 'docs/**/*.md')
               for path in ROOT.glob(pattern) if 'node_modules' not in path.parts)
PARTS = sorted(
    {
        part
        for members in vars(registry).values()
        if isinstance(members, registry.MODELS.__class__)
        for part in members.module_dict.values()
        if part.__module__.split('.')[0] == 'bisenet_plugins'
    },
    key=lambda part: part.__name__,
)
CONVERTERS = ('mmdeploy', 'onnx', 'onnxruntime', 'openvino', 'nncf', 'tensorrt')
# The parts of the scenes are tested by what is drawn.
TESTED_ELSEWHERE = {f'datasets/scenes/{name}.py' for name in ('canvas', 'painter', 'solids', 'sprites')}
MODULES = sorted(path.relative_to(ROOT / 'bisenet_plugins') for path in (ROOT / 'bisenet_plugins').rglob('*.py')
                 if path.name not in ('__init__.py', '__main__.py', 'version.py')
                 and path.relative_to(ROOT / 'bisenet_plugins').as_posix() not in TESTED_ELSEWHERE)
# What reads as translated, and words of which one of two spellings was chosen; CHANGELOG.md keeps its history.
FORBIDDEN = re.compile('|'.join((
    r'artefact', r'\bpictures?\b(?![_.=\'/(\]])', r'\b(?:is|are) wanted\b', r'\bwants\b', r"the data's way",
    r'\bmends?\b', r'\bcut short\b', r'\banew\b', r'\bnot looked at\b', r'\bthousand million\b', r'what is promised',
    r'"""Gives? ', r'learned to see', r'taken for true', r'within float noise')), re.IGNORECASE)
MACHINE_PATH = re.compile(r'(?<![\w.~}])/(?:home|root|Users|work|mnt)/\w')
every_part = pytest.mark.parametrize('part', PARTS, ids=lambda part: part.__name__)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding='utf-8')


def test_version_is_the_same_everywhere():
    newest = re.search(r'^## \[(\d+\.\d+\.\d+)\]', read('CHANGELOG.md'), re.MULTILINE)
    assert newest and newest[1] == __version__ == bisenet_plugins.__version__
    assert importlib.metadata.version('bisenet-plugins') == __version__


def test_no_two_extras_bring_an_opencv_of_their_own():
    """It comes with mmcv; the one of ``[runtime]`` is for an environment without the mm stack."""
    extras = re.split(r'^(?=\w[\w-]* =$)', read('setup.cfg').split('[options.extras_require]')[1], flags=re.MULTILINE)
    assert [extra.split()[0] for extra in extras if 'opencv' in extra] == ['runtime']


def test_workflows_call_targets_that_exist_on_every_python():
    (workflow, ) = (ROOT / '.github' / 'workflows').glob('*.yml')
    jobs = yaml.safe_load(workflow.read_text(encoding='utf-8'))['jobs']
    targets = set(re.findall(r'^([\w-]+):', read('Makefile'), re.MULTILINE))
    called = [step['run'] for job in jobs.values() for step in job['steps'] if 'run' in step]
    assert {line.removeprefix('make ') for line in called} == {
        'check', 'test', 'test-all', 'faults', 'wheel', 'docs'} <= targets
    classified = re.findall(r'Python :: (3\.\d+)', read('setup.cfg'))
    assert jobs['test']['strategy']['matrix']['python'] == classified


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load(read('CITATION.cff'))
    assert cited['version'] == __version__
    assert f'## [{__version__}] - {cited["date-released"]}' in read('CHANGELOG.md')
    assert {'cff-version', 'message', 'title', 'authors'} <= set(cited)


def test_readme_and_ci_run_the_same_test_command():
    assert re.search(r'^make test$', read('README.md'), re.MULTILINE)
    assert read('.ci/run').splitlines()[-1] == 'make test'


def test_the_console_command_is_installed():
    commands = importlib.metadata.entry_points(group='console_scripts', name='bisenet')
    assert [command.value for command in commands] == ['bisenet_cli:main']


def test_import_and_prediction_load_no_converter_and_change_no_process():
    """In a process of its own: this one has loaded whatever other tests needed."""
    done = subprocess.run([sys.executable, '-c', f'''
import sys
import numpy, torch
import bisenet_plugins
from torch.nn.modules import module
image = numpy.zeros((64, 96, 3), numpy.uint8)
for name in bisenet_plugins.pretrained_names():
    assert bisenet_plugins.load_pretrained(name, backend='torch')(image).shape == (64, 96)
print([name for name in {CONVERTERS} if name in sys.modules], len(module._global_module_registration_hooks))
'''], env={**os.environ, 'PYTHONPATH': str(ROOT)}, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == '[] 0\n', done.stderr
    assert 'MultiScaleDeformable' not in done.stderr


@pytest.mark.parametrize('module', MODULES, ids=str)
def test_a_module_has_a_test_file_of_its_path(module):
    assert (ROOT / 'tests' / module.parent / f'test_{module.name}').is_file()


def test_readme_names_only_files_that_exist():
    links = re.findall(r'\]\((?!https?:|#)([^)#\s]+)', read('README.md'))
    assert links and not [link for link in links if not (ROOT / link).exists()]


def test_every_record_is_a_page_of_the_site():
    index = (ROOT / 'docs' / 'index.md').read_text(encoding='utf-8')
    records = [path.stem for path in (ROOT / 'benchmarks' / 'results').glob('*.md')]
    assert records and not [name for name in records if f'../benchmarks/results/{name}>' not in index]


def test_readme_tree_names_every_folder_of_the_package():
    folders = {path.parent.name for path in (ROOT / 'bisenet_plugins').rglob('__init__.py')}
    assert not [folder for folder in folders if f'{folder}/' not in read('README.md')]


def test_parts_are_registered():
    assert {'BilateralNetwork', 'BGAHead', 'BoosterHead', 'BilateralSegmentor'} <= {part.__name__ for part in PARTS}


@every_part
def test_registered_part_is_exported(part):
    assert getattr(bisenet_plugins, part.__name__) is part


@every_part
def test_registered_part_is_described(part):
    """The forms of CONTRIBUTING: what it is, its arguments, its shapes if it is a network part, an example."""
    text = inspect.getdoc(part) if '__doc__' in vars(part) and part.__doc__ else ''
    own_init = vars(part).get('__init__')
    named = set(inspect.signature(own_init).parameters) - {'self', 'args', 'kwargs'} if own_init else set()
    wanted = ['Example:', *(['Args:'] if named else []), *(['Shape:'] if issubclass(part, torch.nn.Module) else [])]
    assert not [section for section in wanted if section not in text]
    assert not [name for name in named if not re.search(rf'\b{name}\b', text)]


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_has_no_slips(path):
    text = path.read_text(encoding='utf-8')
    assert len(text.splitlines()) <= 400
    if path.relative_to(ROOT).parts[0] == 'bisenet_plugins':
        assert not re.search(r'mmcv\.ops|from mmcv import .*\bops\b', text)


@pytest.mark.parametrize('path', SOURCES + TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_english_is_that_of_the_field(path):
    lines = path.read_text(encoding='utf-8').splitlines() if path != Path(__file__) else []
    assert not [f'{number}: {line.strip()}' for number, line in enumerate(lines, 1) if FORBIDDEN.search(line)]


def test_no_path_of_a_machine_is_committed():
    listed = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True, check=False)
    names = [name for name in listed.stdout.split('\0') if name] or [str(path.relative_to(ROOT)) for path in SOURCES]
    texts = {'.py', '.md', '.cfg', '.toml', '.txt', '.json', '.csv', '.svg', '.yaml', ''}
    paths = [ROOT / name for name in names if Path(name).suffix in texts and (ROOT / name).is_file()]
    assert not [path.name for path in paths if MACHINE_PATH.search(path.read_text(encoding='utf-8'))]
