"""Names of this package's own scope resolve, and mmengine finds its configs."""

import os
import subprocess
import sys
from pathlib import Path

import mmseg.registry
from mmengine.config import Config, utils
from mmengine.registry import Registry

from bisenet_plugins.registry import SCOPE, register_configs, register_scope


def test_every_registry_of_mmseg_has_one_child():
    first, again = register_scope(), register_scope()
    wanted = {name for name, value in vars(mmseg.registry).items() if isinstance(value, Registry)}
    assert set(first) == wanted and all(first[name] is again[name] for name in wanted)
    assert first['MODELS'].get('BGAHead') is mmseg.registry.MODELS.get('BGAHead')
    assert mmseg.registry.MODELS.get(f'{SCOPE}.BGAHead') is mmseg.registry.MODELS.get('BGAHead')


def test_configs_are_inherited_by_name_once_the_package_is_imported(tmp_path):
    page = (Path(__file__).resolve().parents[1] / 'docs' / 'own_data.md').read_text(encoding='utf-8')
    assert 'must `import bisenet_plugins`\nbefore it reads this config by `Config.fromfile`' in page
    (tmp_path / 'own.py').write_text(f"_base_ = '{SCOPE}::_base_/models/bisenetv2.py'\n", encoding='utf-8')
    script = f'from mmengine.config import Config; Config.fromfile({str(tmp_path / "own.py")!r})'
    environment = {**os.environ, 'PYTHONPATH': str(Path(__file__).resolve().parents[1])}
    for first, status in (('', 1), ('import bisenet_plugins; ', 0)):
        done = subprocess.run([sys.executable, '-c', first + script], env=environment, capture_output=True, check=False)
        assert done.returncode == status, done.stderr


def test_configs_are_inherited_by_name(tmp_path):
    register_configs()
    assert utils.MODULE2PACKAGE['mmseg'] in ('mmsegmentation', 'onedl-mmsegmentation')
    path = tmp_path / 'own.py'
    path.write_text("_base_ = 'bisenet_plugins::bisenetv2/bisenetv2_bga_1xb16-10k_camvid-360x480.py'\n"
                    'model = dict(num_classes=3)\n', encoding='utf-8')
    cfg = Config.fromfile(path)
    assert cfg.model.num_classes == 3 and cfg.model.backbone.type == 'BilateralNetwork'
