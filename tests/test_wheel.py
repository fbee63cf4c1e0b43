"""A wheel is enough: from an empty folder, with nothing of the checkout in sight, configs are found and built."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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


@pytest.mark.slow
def test_it_holds_configs_tools_and_index(site):
    names = zipfile.ZipFile(next(site.parent.glob('*.whl'))).namelist()
    for place in ('configs', 'tools'):
        wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / place).rglob('*.py')}
        assert {f'bisenet_plugins/.mim/{name}' for name in wanted} <= set(names)
    assert 'bisenet_plugins/.mim/model-index.yml' in names and 'bisenet_plugins/.mim/configs/stdc/metafile.yml' in names
    metadata = next(site.glob('bisenet_plugins-*.dist-info')) / 'METADATA'
    assert 'License-Expression: Apache-2.0 AND CC-BY-NC-4.0' in metadata.read_text(encoding='utf-8')
    assert not [name for name in names if name.startswith(('benchmarks/', 'tests/', 'bisenet_plugins/tests'))]


@pytest.mark.slow
def test_configs_are_found_from_an_empty_folder(site, tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding='utf-8')
    environment = {**os.environ, 'PYTHONPATH': str(site)}
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', SCRIPT, str(site)], cwd=tmp_path, env=environment,
                          capture_output=True, text=True)
    ours = ' '.join(['BilateralSegmentor'] * 3)
    assert done.stdout.strip().splitlines()[-1] == f'{ours} BiSeNetV2 4', done.stderr[-3000:]
