"""A flattened config says what the one with bases says, once, and is not written over another file."""

import inspect
import re

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from bisenet_plugins.cli.config import flat_source
from bisenet_plugins.cli.options import configs_folder, find_config
from bisenet_plugins.config import KEYS

WRITTEN = {*KEYS, 'train_pipeline', 'test_pipeline'}
NAMES = ['bisenetv2_bga_1xb16-10k_camvid-360x480', 'stdc/stdc1_seg50_3xb16-60k_cityscapes-512x1024.py']


@pytest.mark.parametrize('name', NAMES)
def test_the_file_holds_all_that_a_runner_reads(bisenet, name):
    status, told, _ = bisenet('config', name, '--cfg-options', 'train_cfg.max_iters=7')
    stem = find_config(name).stem
    assert status == 0 and f'bisenet train {stem}.py' in told
    flat, full = Config.fromfile(f'{stem}.py').to_dict(), Config.fromfile(find_config(name)).to_dict()
    full['train_cfg']['max_iters'] = 7
    assert flat == {key: value for key, value in full.items() if key in WRITTEN and value is not None}


def test_every_key_of_a_config_is_known_or_a_helper():
    """A key that a runner reads and that KEYS lacks would be lost."""
    read = set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg', 'experiment_name', 'data_preprocessor'}
    assert read <= set(KEYS)
    helpers = set()
    for path in configs_folder().glob('*/**/*.py'):
        if '_base_' not in path.parts and 'deploy' not in path.parts:
            helpers |= set(Config.fromfile(path).to_dict()) - WRITTEN
    assert helpers <= {'data_root', 'dataset_type', 'crop_size', 'image_scale', 'image_size', 'scale_and_crop', 'decay',
                       'warmup', 'augment_transforms', 'load_transforms', 'tta_resizes', 'tta_transforms',
                       'class_weight', 'head', 'norm_cfg', 'random_resize', 'random_crop', 'drives'}


def test_keys_that_few_configs_have_are_kept(bisenet, tmp_path):
    few = dict(sync_bn='torch', experiment_name='a', compile=True, data_preprocessor=dict(type='SegDataPreProcessor'))
    Config(dict(model=dict(type='EncoderDecoder'), helper=1, **few)).dump(str(tmp_path / 'own.py'))
    assert bisenet('config', str(tmp_path / 'own.py'), '--out', 'flat.py')[0] == 0
    assert Config.fromfile('flat.py').to_dict() == dict(model=dict(type='EncoderDecoder'), **few)


def test_a_network_is_what_its_config_starts_from(bisenet):
    assert bisenet('config', 'bisenetv2-camvid', '--out', 'mine.py')[0] == 0
    assert Config.fromfile('mine.py').load_from == 'bisenet_plugins://bisenetv2-camvid'


def test_values_of_other_types_are_written_so_that_they_can_be_read(bisenet, tmp_path):
    (tmp_path / 'base.py').write_text("model = dict(type='EncoderDecoder')\n")
    (tmp_path / 'own.py').write_text(
        "_base_ = './base.py'\nfrom pathlib import Path\nimport numpy as np\nfrom torch.optim import AdamW\n"
        "train_dataloader = dict(dataset=dict(data_root=Path('a') / 'b'))\n"
        'optim_wrapper = dict(optimizer=dict(type=AdamW, lr=np.float64(0.01)))\n')
    assert bisenet('config', str(tmp_path / 'own.py'), '--out', 'flat.py')[0] == 0
    flat = Config.fromfile('flat.py')
    assert flat.train_dataloader.dataset.data_root == 'a/b' and flat.optim_wrapper.optimizer.lr == 0.01
    assert re.fullmatch(r'torch\..*\.AdamW', flat.optim_wrapper.optimizer.type)
    (tmp_path / 'odd.py').write_text("model = dict(type='EncoderDecoder', odd=object())\n")
    status, _, failure = bisenet('config', str(tmp_path / 'odd.py'), '--out', 'written.py')
    assert status == 1 and 'config: expected values that can be written, got <object' in failure


def test_the_config_that_is_read_is_not_written_over(bisenet, tmp_path):
    content = "model = dict(type='EncoderDecoder')\n"
    (tmp_path / 'a b.py').write_text(content)
    status, _, failure = bisenet('config', str(tmp_path / 'a b.py'), '--out', str(tmp_path / 'a b.py'), '--overwrite')
    assert status == 1 and 'another file than the config that is read' in failure
    assert (tmp_path / 'a b.py').read_text() == content
    (tmp_path / 'bad.py').write_text('1 / 0')
    assert 'bad.py: expected an mmengine config' in bisenet('config', str(tmp_path / 'bad.py'), '--out', 'c.py')[2]
    status, _, failure = bisenet('config', str(tmp_path / 'a b.py'), '--out', 'c.py', '--cfg-options', 'zzz=3')
    assert status == 1 and "expected keys that are in the config, got 'zzz'" in failure


def test_pipelines_and_equal_halves_are_named():
    step = [dict(type='A', size=(2, ), odd={'a-b': 1})]
    half = dict(dataset=dict(pipeline=step))
    text = flat_source(dict(test_pipeline=step, val_dataloader=half, test_dataloader=half), 'a')
    assert text.count("'A'") == 1 and 'test_dataloader = val_dataloader' in text and "{'a-b': 1}" in text


def test_keywords_and_numbers_without_literals_can_be_read():
    value = dict(type='A', keys={'global': 1, 'class': dict(lr_mult=2.0)}, most=float('inf'), least=[-float('inf')],
                 none=float('nan'), low=0.5)
    found = {}
    exec(flat_source(dict(model=value), 'a'), found)
    assert repr(found['model']) == repr(value)


@pytest.mark.parametrize('words, sentence', [
    (['bisenetv2_bga_1xb16-10k_camvid-360x481'], "did you mean 'bisenetv2_bga_1xb16-10k_camvid-360x480'"),
    (['bisenetv2'], 'expected a file, or a name that "bisenet list" has, got bisenetv2'),
    (['bisenetv2-camvid', '--out', 'x.txt'], "--out: expected a name that ends in .py, .* got 'x.txt'"),
    (['bisenetv2-camvid', '--out', 'there.py'], "--out: expected a new file, or --overwrite .* got 'there.py'"),
])
def test_refusals(bisenet, tmp_path, words, sentence):
    (tmp_path / 'there.py').write_text('a = 1\n')
    status, _, told = bisenet('config', *words)
    assert status == 1 and re.search(sentence, told)
    assert (tmp_path / 'there.py').read_text() == 'a = 1\n'
    assert bisenet('config', 'bisenetv2-camvid', '--out', 'there.py', '--overwrite')[0] == 0
