"""Names of this package's own scope resolve, and mmengine finds its configs."""

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


def test_configs_are_inherited_by_name(tmp_path):
    register_configs()
    assert utils.MODULE2PACKAGE['mmseg'] in ('mmsegmentation', 'onedl-mmsegmentation')
    path = tmp_path / 'own.py'
    path.write_text("_base_ = 'bisenet_plugins::bisenetv2/bisenetv2_bga_1xb16-10k_camvid-360x480.py'\n"
                    'model = dict(num_classes=3)\n', encoding='utf-8')
    cfg = Config.fromfile(path)
    assert cfg.model.num_classes == 3 and cfg.model.backbone.type == 'BilateralNetwork'
