"""A wheel is enough: from an empty folder, with nothing of the checkout in sight, configs are found and built.

Prediction needs less: three packages beside the wheel, and neither PyTorch nor MMSegmentation.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pytest

from bisenet_plugins import Predictor, load_pretrained, pretrained_names

ROOT = Path(__file__).resolve().parents[1]
NAME = 'bisenet_plugins::bisenetv2/bisenetv2_bga_1xb16-10k_camvid-360x480.py'
FILES = {
    'inherit.py': f"_base_ = {NAME!r}\nmodel = dict(norm_cfg=dict(type='BN'))\n",
    'bases.py': "_base_ = ['bisenet_plugins::_base_/models/bisenetv2.py',\n"
                "          'bisenet_plugins::_base_/default_runtime.py']\n"
                "model = dict(num_classes=5, norm_cfg=dict(type='BN'), data_preprocessor=dict(size=(64, 64)))\n",
    'theirs.py': "_base_ = 'mmseg::_base_/models/bisenetv2.py'\n",
    'lazy.py': 'from mmengine.config import read_base\n\nwith read_base():\n'
               '    from bisenet_plugins.configs._base_.models.bisenetv2 import *\n\n'
               'model.update(dict(num_classes=4))\n',
}
SCRIPT = f'''
import sys
import bisenet_plugins
assert bisenet_plugins.__file__.startswith(sys.argv[1]), bisenet_plugins.__file__
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
register_all_modules(init_default_scope=True)
def kind(cfg):
    cfg.model.norm_cfg = dict(type='BN')
    return type(MODELS.build(cfg.model)).__name__
print(kind(Config.fromfile('inherit.py')), kind(Config.fromfile('bases.py')), kind(get_config({NAME!r})),
      Config.fromfile('theirs.py').model.backbone.type, Config.fromfile('lazy.py').model.num_classes)
'''


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """A folder of packages with only the wheel."""
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'  # a copy: what setuptools leaves behind would go into the next wheel
    for name in ('bisenet_plugins', 'configs', 'tools'):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns('__pycache__'))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source)
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '-q']
    for command in (['wheel', '--no-deps', '--no-build-isolation', '-w', str(folder), str(source)],
                    ['install', '--no-deps', '--target', str(folder / 'site'), str(folder / 'NAME')]):
        made = next(folder.glob('*.whl'), None)
        command = [str(made) if part.endswith('NAME') else part for part in command]
        subprocess.run([*pip, *command], check=True, capture_output=True, text=True)
    return folder / 'site'


def test_it_holds_configs_tools_and_index(site):
    names = zipfile.ZipFile(next(site.parent.glob('*.whl'))).namelist()
    for place in ('configs', 'tools'):
        wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / place).rglob('*.py')}
        assert {f'bisenet_plugins/.mim/{name}' for name in wanted} <= set(names)
    assert 'bisenet_plugins/.mim/model-index.yml' in names and 'bisenet_plugins/.mim/configs/stdc/metafile.yml' in names
    metadata = next(site.glob('bisenet_plugins-*.dist-info')) / 'METADATA'
    assert 'License-Expression: Apache-2.0 AND CC-BY-NC-4.0' in metadata.read_text(encoding='utf-8')
    assert not [name for name in names if name.startswith(('benchmarks/', 'tests/', 'bisenet_plugins/tests'))]


def test_configs_are_found_from_an_empty_folder(site, tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding='utf-8')
    environment = {**os.environ, 'PYTHONPATH': str(site)}
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', SCRIPT, str(site)], cwd=tmp_path, env=environment,
                          capture_output=True, text=True)
    ours = ' '.join(['BilateralSegmentor'] * 3)
    assert done.stdout.strip().splitlines()[-1] == f'{ours} BiSeNetV2 4', done.stderr[-3000:]


PREDICT = '''
import sys
import bisenet_plugins
assert bisenet_plugins.__file__.startswith(sys.argv[1]), bisenet_plugins.__file__
import cv2
predictor = bisenet_plugins.Predictor(sys.argv[2])
cv2.imwrite('mask.png', predictor(cv2.imread('photo.png')))
print(predictor.backend, *(name for name in ('torch', 'mmseg', 'mmengine', 'mmcv', 'safetensors', 'PIL', 'rich')
                           if name in sys.modules))
try:
    bisenet_plugins.Predictor('config.py')
except ImportError as error:
    print(error)
'''


def test_the_runtime_extra_is_three_packages(site):
    text = next(site.glob('bisenet_plugins-*.dist-info/METADATA')).read_text()
    needs = Parser().parsestr(text).get_all('Requires-Dist')
    always = {re.match(r'[\w-]+', need)[0] for need in needs if 'extra ==' not in need}
    runtime = {re.match(r'[\w-]+', need)[0] for need in needs if re.search(r"""extra == ["']runtime["']""", need)}
    assert (always, runtime) == ({'numpy'}, {'numpy', 'onnxruntime', 'opencv-python-headless'})


@pytest.fixture
def bare(site, tmp_path):
    """Run Python with the wheel, numpy, OpenCV and ONNX Runtime, and no other package."""
    pytest.importorskip('onnxruntime')
    folder = tmp_path / 'site'
    shutil.copytree(site, folder)
    for name in ('numpy', 'opencv-python', 'opencv-python-headless', 'onnxruntime'):
        try:
            files = metadata.files(name) or ()
        except metadata.PackageNotFoundError:
            continue
        for top in {file.parts[0] for file in files if not file.parts[0].startswith(('..', '__'))}:
            place = folder / top
            found = Path(metadata.distribution(name).locate_file(top))
            if top == 'cv2' and not place.exists():  # it looks for itself where its files really lie
                shutil.copytree(found, place)
            elif found.exists() and not place.exists():
                place.symlink_to(found)
    cv2.imwrite(str(tmp_path / 'photo.png'), np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8))
    environment = {key: value for key, value in os.environ.items() if not key.startswith('PYTHON')}

    def run(*arguments):
        return subprocess.run([sys.executable, '-S', '-c', f'import sys; sys.path[:0] = [{str(folder)!r}]\n'
                               + arguments[0], *arguments[1:]], cwd=tmp_path, env=environment, capture_output=True,
                              text=True, check=False)

    run.site, run.folder = folder, tmp_path
    return run


def test_a_graph_is_predicted_without_pytorch_and_mmsegmentation(bare, small_config, write_graph):
    predictor = Predictor(small_config, backend='onnxruntime')
    image = cv2.imread(str(bare.folder / 'photo.png'))
    write_graph(predictor, bare.folder / 'net.onnx')
    done = bare(PREDICT, str(bare.site), 'net.onnx')
    assert done.stdout.splitlines() == [
        'onnxruntime', "torch is not installed; it comes with the extra 'onedl': pip install 'bisenet-plugins[onedl]'"
    ], done.stderr
    np.testing.assert_array_equal(cv2.imread(str(bare.folder / 'mask.png'), 0), predictor(image))

    command = ('from bisenet_cli import main; sys.exit(main())', 'predict', 'photo.png', '--save', 'overlay', 'palette',
               'ids')
    shipped = load_pretrained(pretrained_names()[0], backend='onnxruntime')
    for network, segment in ((('--model', 'net.onnx'), predictor), ((), shipped)):  # a file, and the wheel's default
        done = bare(*command, *network, '--out-dir', 'out')
        assert done.returncode == 0 and '1 done' in done.stdout, done.stderr
        np.testing.assert_array_equal(cv2.imread(str(bare.folder / 'out' / 'ids' / 'photo.png'), 0), segment(image))
    (bare.folder / 'config.py').touch()
    done = bare(command[0], 'list')
    assert done.returncode == 0 and pretrained_names()[0] in done.stdout, done.stderr
    done = bare(command[0], 'train', 'config.py')
    assert done.returncode == 1 and '"bisenet doctor" says what to install' in done.stderr
