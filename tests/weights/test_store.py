"""A network is exported, shipped, loaded and used without its config."""

import hashlib
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from mmengine.config import Config
from mmseg.registry import DATASETS

import tools.model_converters.export_shipped_network as export
from bisenet_plugins.datasets.scenes.painter import paint_scene
from bisenet_plugins.runtime import Predictor
from bisenet_plugins.runtime.predictor import load_pretrained
from bisenet_plugins.weights import DamagedCheckpointError, pretrained_names, store
from tools.model_converters.export_shipped_network import export_pretrained

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
SCENES = dict(type='StreetSceneDataset', length=2, size=(48, 64),
              pipeline=[dict(type='Resize', scale=(96, 72), keep_ratio=True), dict(type='PackSegInputs')])


def load(name, folder):
    """A network of another folder than the package's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, 'FOLDER', Path(folder))
        return load_pretrained(name, backend='torch')



@pytest.fixture(scope='module', autouse=True)
def one_thread():
    """The networks are so small that a second thread only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny_config() -> Config:
    """V2 of an eighth of the width with one booster, tested at one and a half times the picture's size."""
    return Config(dict(
        default_scope='mmseg',
        randomness=dict(seed=5),
        model=dict(
            type='BilateralSegmentor', num_classes=11, norm_cfg=dict(type='SyncBN'),
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True),
            backbone=dict(type='BilateralNetwork', detail_branch=dict(type='DetailBranch', width_mult=0.125),
                          semantic_branch=dict(type='SemanticBranch', width_mult=0.25)),
            decode_head=dict(type='BGAHead', channels=16, in_index=(0, -1),
                             loss_decode=dict(type='OhemCrossEntropyLoss')),
            auxiliary_head=dict(stage2=dict(type='BoosterHead', channels=8, in_index=1)),
            train_cfg=dict(), test_cfg=dict(mode='whole')),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=7),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05)),
        train_dataloader=dict(batch_size=4, dataset=SCENES),
        val_dataloader=dict(dataset=SCENES),
        test_dataloader=dict(dataset=SCENES)))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """The network of the tiny config and its checkpoint, with norms as a training leaves them."""
    torch.manual_seed(0)
    predictor = Predictor(tiny_config())
    for module in predictor.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.normal_(module.running_mean, std=0.1)
    torch.nn.init.normal_(predictor.model.decode_head.conv_seg.weight, std=5.0)
    path = tmp_path_factory.mktemp('trained') / 'iter_7.pth'
    torch.save(dict(state_dict=predictor.model.state_dict(), meta=dict(iter=7)), path)
    return predictor, path


@pytest.fixture(scope='module')
def shipped(trained, tmp_path_factory):
    """A folder as the package's own, with one network and its card."""
    folder = tmp_path_factory.mktemp('store')
    log = folder / 'scalars.json'
    log.write_text('{"loss": 2.5, "step": 6}\n{"mIoU": 12.5, "step": 7}\n')
    done = export_pretrained(tiny_config(), trained[1], 'tiny', dict(data='Drawn.', seeds='5 of 3'), log, folder=folder,
                             calibration=None)
    return folder, done


def scenes():
    return [item['img'] for item in DATASETS.build(dict(SCENES, pipeline=[]))]


def test_the_shipped_network_sees_what_the_checkpoint_sees(trained, shipped):
    loaded = load('tiny', shipped[0])
    for image in scenes():
        mask, wanted = loaded(image), trained[0](image)
        assert (mask.shape, mask.dtype) == ((48, 64), np.uint8)
        assert len(np.unique(wanted)) > 1
        assert (mask == wanted).mean() > 0.99
    assert loaded.classes == trained[0].classes and 'Bicyclist' in loaded.classes
    np.testing.assert_array_equal(loaded.palette, trained[0].palette)
    assert shipped[1].same > 99.0
    assert not any(name.startswith('auxiliary_head') for name in loaded.model.state_dict())


def test_the_file_is_halved_and_its_config_says_only_what_prediction_needs(shipped):
    content = shipped[1].path.read_bytes()
    state = safetensors.torch.load(content)
    assert {value.dtype for value in state.values() if value.ndim > 1} == {torch.float16}
    assert state['decode_head.conv_seg.bias'].dtype == torch.float32
    cfg = store.parse_network(content, 'file')[0]
    assert not {'auxiliary_head', 'train_cfg'} & set(cfg['model'])
    assert cfg['model']['decode_head']['loss_decode']['type'] == 'CrossEntropyLoss'
    pipeline = cfg['test_dataloader']['dataset']['pipeline']
    assert pipeline[0] == dict(type='Resize', scale=(96, 72), keep_ratio=True)
    assert set(cfg) == {'default_scope', 'model', 'test_dataloader'}


def test_index_and_card_say_what_was_measured(shipped):
    folder, done = shipped
    entry = json.loads((folder / 'index.json').read_text())['networks']['tiny']
    assert entry['sha256'] == hashlib.sha256(done.path.read_bytes()).hexdigest()
    assert entry['bytes'] == done.size == done.path.stat().st_size
    assert entry['mIoU'] == round(done.scores.miou, 2)
    card = (folder / entry['card']).read_text()
    for told in (entry['sha256'], 'Drawn.', 'Seed: 5 of 3', '7 iterations, batch 4', 'those of iteration 7',
                 '| 7 | 2.500 | 12.50 |', f'| Bicyclist | {done.scores.iou[10]:.2f} |', '## Licence'):
        assert told.replace('nan', '-') in card
    assert str(folder) not in card
    assert pretrained_names(folder) == ('tiny',)


def test_a_score_left_out_and_camvid_named(trained, shipped, tmp_path):
    cfg = tiny_config()
    cfg.train_dataloader.dataset = dict(type='CamVidDataset', pipeline=[dict(type='RandomFlip', prob=0.5)])
    done = export_pretrained(cfg, trained[1], 'camvid', evaluate=False, folder=tmp_path, calibration=None)
    assert done.scores is None
    card = (tmp_path / 'camvid.md').read_text()
    assert 'CC BY-NC 4.0' in card and 'Not measured.' in card and 'RandomFlip (prob 0.5)' in card and 'Seed: 5' in card
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[cfg.train_dataloader.dataset])
    export_pretrained(cfg, trained[1], 'another', evaluate=False, folder=tmp_path, calibration=None)
    assert 'CC BY-NC 4.0' in (tmp_path / 'another.md').read_text()
    assert pretrained_names(tmp_path) == ('camvid', 'another')


@pytest.fixture
def copied(shipped, tmp_path):
    """A copy of the shipped folder to damage."""
    for name in ('index.json', 'tiny.safetensors'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((shipped[0] / name).read_bytes())
    return tmp_path


def test_a_changed_byte_is_refused(copied):
    path = copied / 'tiny.safetensors'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match='tiny.safetensors: expected the shipped file of SHA-256'):
        load('tiny', copied)
    path.unlink()
    with pytest.raises(FileNotFoundError, match='tiny: expected its weights at'):
        load('tiny', copied)


def test_wrong_names_and_indices_are_sentences(copied, tmp_path):
    with pytest.raises(ValueError, match="name: expected one of tiny, got 'big'"):
        load('big', copied)
    (copied / 'index.json').write_text('{')
    with pytest.raises(DamagedCheckpointError, match='index.json: expected an index of networks'):
        load('tiny', copied)
    foreign = safetensors.torch.save({'weight': torch.ones(2)})
    with pytest.raises(DamagedCheckpointError, match='foreign: expected weights with a config'):
        Predictor.from_bytes(foreign, 'foreign')
    with pytest.raises(ValueError, match='config.model.type: expected a string, .* got a type'):
        store.encode_config(dict(model=dict(type=Predictor)))


def test_what_cannot_be_shipped_is_refused_and_leaves_nothing(trained, tmp_path, monkeypatch):
    def ship(name='tiny', **settings):
        export_pretrained(tiny_config(), trained[1], name, evaluate=False, folder=tmp_path, calibration=None,
                          **settings)

    with pytest.raises(ValueError, match="name: expected lowercase letters, .*, got '../x'"):
        ship('../x')
    with pytest.raises(ValueError, match=r"card: expected some of .*, got \['dta'\]"):
        ship(card=dict(dta='typo'))
    with pytest.raises(FileNotFoundError, match='there is no log at none.json'):
        ship(log='none.json')
    with pytest.raises(ValueError, match='conv.weight reaches 1e.06, half precision holds finite numbers'):
        export._half('conv.weight', torch.full((1, 1), 1e6))
    monkeypatch.setattr(export, 'SIZE_LIMIT', 1000)
    with pytest.raises(ValueError, match='tiny has .* MiB, at most 0 MiB are shipped'):
        ship()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', pretrained_names())
def test_what_the_package_ships_is_whole(name):
    pytest.importorskip('onnxruntime')
    entry = store.read_index()[name]
    assert entry['bytes'] <= 12 * 2**20
    assert entry['sha256'] in (store.FOLDER / entry['card']).read_text(encoding='utf-8')
    image, _ = paint_scene((96, 128), 0, 0)
    graph, network = (load_pretrained(name, backend=backend)(image) for backend in ('onnxruntime', 'torch'))
    assert graph.shape == (96, 128) and (graph == network).mean() > 0.995, 'the file and its graph are one network'


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run a tool in an empty folder with a store of our own."""
    monkeypatch.chdir(tmp_path)

    def run(tool, folder, *arguments):
        monkeypatch.setattr(store, 'FOLDER', Path(folder))
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        monkeypatch.setattr(sys, 'path', list(sys.path))
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOLS / tool), run_name='__main__')
        return end.value.code

    return run


def test_tools_take_the_file_as_a_checkpoint(shipped):
    """The training's config and the shipped weights, as in ``tools/test.py CONFIG weights.safetensors``."""
    path = Path(shipped[0]) / store.read_index(shipped[0])['tiny']['file']
    image = scenes()[0]
    np.testing.assert_array_equal(Predictor(tiny_config(), path)(image),
                                  load('tiny', shipped[0])(image))


def test_the_export_tool_writes_into_a_folder(call, trained, capsys, tmp_path):
    tiny_config().dump(str(tmp_path / 'tiny.py'))
    options = ['--folder', tmp_path / 'out', '--no-evaluate', '--calibration', 'none', '--card', 'summary=Small.']
    assert call('model_converters/export_pretrained.py', tmp_path, 'tiny.py', trained[1], 'tiny', *options) == 0
    assert 'tiny.safetensors: ' in capsys.readouterr().out
    assert (tmp_path / 'out' / 'tiny.md').read_text().startswith('# tiny\n\nSmall.\n')
    assert call('model_converters/export_pretrained.py', tmp_path, 'tiny.py', 'none.pth', 'tiny', *options) == 1
    assert 'error: no checkpoint at none.pth' in capsys.readouterr().err


def test_a_graph_is_found_by_its_name_and_verified_where_the_index_knows_it(tmp_path):
    name = pretrained_names()[0]
    assert store.shipped_graph(name, folder=tmp_path) is None
    for suffix in ('', '.int8'):
        (tmp_path / f'{name}{suffix}.onnx').write_bytes(b'graph')
    assert store.shipped_graph(name, folder=tmp_path) == tmp_path / f'{name}.onnx'
    sums = dict(fp32=hashlib.sha256(b'graph').hexdigest(), int8='0' * 64)
    index = dict(networks={name: dict(graphs={precision: dict(sha256=value) for precision, value in sums.items()})})
    (tmp_path / 'index.json').write_text(json.dumps(index))
    assert store.shipped_graph(name, folder=tmp_path).is_file()
    with pytest.raises(DamagedCheckpointError, match=r'int8.onnx: expected the shipped file of SHA-256 000000000000'):
        store.shipped_graph(name, 'int8', tmp_path)
