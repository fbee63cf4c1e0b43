"""The whole way, on a tiny network: every kind of graph, and what is refused."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bisenet_plugins.datasets.samples import Sample, synthetic_samples
from bisenet_plugins.deploy import DeployOptions, deploy
from bisenet_plugins.deploy.verify import compare
from bisenet_plugins.errors import AgreementError, InputError, UnsupportedOperatorError
from bisenet_plugins.runtime.artifact import Artifact
from bisenet_plugins.runtime.predictor import Predictor
from tests.deploy.conftest import make, needs, tiny_config

pytestmark = needs('mmdeploy', 'onnx', 'onnxruntime')


def test_artifact_says_what_it_is(tiny):
    artifact = tiny[0]
    assert sorted(os.listdir(artifact.folder)) == ['artifact.json', 'deploy.json', 'detail.json', 'end2end.onnx',
                                                   'pipeline.json']
    again = Artifact.load(artifact.folder)
    assert again == artifact
    assert artifact.checks['agreement'] >= 99.99
    assert artifact.num_classes == 5


def test_sdk_files_name_the_artifact(tiny):
    info = json.loads((Path(tiny[0].folder) / 'deploy.json').read_text())
    assert info['models'][0]['net'] == 'end2end.onnx'
    steps = json.loads((Path(tiny[0].folder) / 'pipeline.json').read_text())['pipeline']['tasks']
    kinds = [step['type'] for step in steps[0]['transforms']]
    assert kinds == ['LoadImageFromFile', 'Normalize', 'ImageToTensor', 'Collect']
    assert steps[0]['transforms'][1]['to_rgb'] is True


def test_predictor_equals_the_checkpoint_s(tiny):
    predictor = Predictor(tiny_config(), tiny[2], backend='torch')
    deployed = Predictor(tiny[0].folder, threads=1)
    images = [sample.image for sample in synthetic_samples(2, (63, 127))]
    expected, masks = predictor(images), deployed(images)
    for one, other in zip(expected, masks):
        assert other.dtype == np.uint8
        assert np.mean(one == other) > 0.999
    assert deployed.classes == predictor.classes
    np.testing.assert_array_equal(deployed.palette, predictor.palette)


@pytest.mark.parametrize(('precision', 'shape', 'settings'), [
    ('fp32', None, dict(output='logits', opset=13)),
    ('fp16', None, {}),
    ('fp16', (64, 128), dict(output='logits_s8')),
    ('fp32', (64, 128), dict(batch=2)),
    ('fp32', None, dict(channel_order='rgb')),
])
def test_every_kind_of_graph_agrees(tiny, tmp_path, precision, shape, settings):
    artifact = make(tiny, tmp_path / 'a', precision=precision, shape=shape, **settings)
    assert artifact.checks['agreement'] >= (99.99 if precision == 'fp32' else 99.0)
    assert artifact.checks['max_logit_difference'] < (1e-4 if precision == 'fp32' else 0.1)
    mask = Predictor(artifact.folder, threads=1)(synthetic_samples(1, (70, 100))[0].image)
    assert mask.shape == (70, 100)


def test_a_static_batch_takes_as_many_images_at_a_time(tiny, tmp_path):
    images = [sample.image for sample in synthetic_samples(5, (64, 128))]
    masks = Predictor(make(tiny, tmp_path / 'one', shape=(64, 128), verify=False).folder, threads=1)(images)
    predictor = Predictor(make(tiny, tmp_path / 'two', shape=(64, 128), batch=2, verify=False).folder, threads=1)
    run, ran = predictor._open(), []
    predictor._compute = lambda inputs: (ran.append(inputs.shape), run(inputs))[1]
    np.testing.assert_array_equal(predictor(images), masks)
    assert ran == [(2, 3, 64, 128)] * 3 and len({mask.tobytes() for mask in masks}) > 3


def test_a_static_graph_is_constants_alone_and_enough_alone(tiny, tmp_path):
    import onnx
    artifact = make(tiny, tmp_path / 'a', shape=(64, 128))
    kinds = {node.op_type for node in onnx.load(artifact.path).graph.node}
    assert not kinds & {'Shape', 'Slice', 'Gather', 'Constant', 'Unsqueeze'}
    (tmp_path / 'alone').mkdir()
    alone = Path(shutil.copy(artifact.path, tmp_path / 'alone' / 'network.onnx'))
    image = synthetic_samples(1, (70, 100))[0].image
    predictor = Predictor(alone, threads=1)
    np.testing.assert_array_equal(predictor(image), Predictor(artifact.folder, threads=1)(image))
    assert predictor.artifact.checks == artifact.checks
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(predictor))(image), predictor(image))


def test_a_mask_leaves_the_graph_as_bytes(tiny):
    inputs = np.zeros((1, 3, 64, 64), np.float32)
    assert tiny[0].open(threads=1)(inputs).dtype == np.uint8


def test_self_contained_graph_follows_the_paper_s_protocol(tiny, tmp_path):
    artifact = make(tiny, tmp_path / 'a', shape=(128, 256), channel_order='bgr', network_size=(64, 128))
    image = synthetic_samples(1, (128, 256))[0].image
    output = artifact.open(threads=1)(image[None])
    assert output.shape == (1, 128, 256)
    assert output.dtype == np.uint8
    segmentor = tiny[1]
    half = torch.nn.functional.interpolate(torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float(),
                                           (64, 128), mode='bilinear')
    pre = segmentor.data_preprocessor
    with torch.no_grad():
        logits = segmentor.decode_head(segmentor.extract_feat((half - pre.mean) / pre.std))
        expected = torch.nn.functional.interpolate(logits, (128, 256), mode='bilinear').argmax(1).numpy()
    assert np.mean(expected == output) > 0.9999


def test_dynamic_graph_takes_any_batch_and_odd_sizes(tiny):
    session = tiny[0].open(threads=1)
    inputs = np.random.default_rng(0).normal(size=(3, 3, 63, 127)).astype(np.float32)
    together = session(inputs)
    assert together.shape == (3, 1, 63, 127)
    for i in range(3):
        assert np.mean(session(inputs[i:i + 1])[0] == together[i]) > 0.999


class Odd(torch.nn.Conv2d):
    """An operator that has no ONNX counterpart."""

    def forward(self, x):
        return super().forward(torch.special.bessel_j0(x))


def test_unsupported_operator_names_module_and_leaves_nothing(tmp_path):
    from mmengine.registry import MODELS
    name = 'TinyOddConv'
    MODELS.register_module(name=name, module=Odd, force=True)
    config = tiny_config()
    config.model.decode_head.conv_cfg = dict(type=name)
    with pytest.raises(UnsupportedOperatorError, match=r'bessel_j0.* in module decode_head\.convs\.0\.conv'):
        deploy(config, None, str(tmp_path / 'a'), DeployOptions(image_count=2))
    assert os.listdir(tmp_path) == []


def test_disagreement_fails_and_leaves_nothing(tiny, tmp_path, monkeypatch):
    from bisenet_plugins.deploy import verify
    monkeypatch.setitem(verify.THRESHOLDS, 'fp32', 101.0)
    with pytest.raises(AgreementError, match='expected 101.0 % of the pixels to agree at fp32'):
        make(tiny, tmp_path / 'a')
    assert os.listdir(tmp_path) == []


def test_out_folder_is_never_overwritten_by_accident(tiny, tmp_path):
    (tmp_path / 'thesis.tex').write_text('')
    with pytest.raises(InputError, match='out: expected a new folder, got .*, which holds other files'):
        make(tiny, tmp_path, overwrite=True)
    with pytest.raises(InputError, match='out: expected a new folder or --overwrite, got .*, which holds an artifact'):
        make(tiny, tiny[0].folder)
    with pytest.raises(InputError, match='out: expected a folder, got .*thesis.tex is a file'):
        make(tiny, tmp_path / 'thesis.tex' / 'below')
    assert os.listdir(tmp_path) == ['thesis.tex']


@pytest.mark.parametrize('load_from', [None, 'start.pth'])
def test_random_weights_are_said_loudly(tiny, tmp_path, load_from):
    cfg = tiny_config()
    cfg.load_from = load_from
    checks = deploy(cfg, None, str(tmp_path / 'a'), DeployOptions(verify=False, dump_info=False)).checks
    sentence, = checks['warnings']
    assert sentence.startswith('the weights are random, good for timing alone, because the config came without WEIGHTS')
    assert ('start.pth' in sentence) == bool(load_from) and Artifact.load(str(tmp_path / 'a')).checks == checks
    assert 'warnings' not in tiny[0].checks


@pytest.mark.parametrize('settings', [
    dict(), dict(shape=(64, 128)), pytest.param(dict(backend='torch-export'), marks=pytest.mark.slow)])
def test_a_grey_network_gets_one_channel(tiny, tmp_path, settings):
    cfg = tiny_config()
    cfg.model.data_preprocessor.update(mean=[110.0], std=[60.0], bgr_to_rgb=False)
    cfg.model.backbone.in_channels = 1
    options = DeployOptions(image_count=1, threads=1, dump_info=False, **settings)
    made = deploy(cfg, None, str(tmp_path / 'a'), options)
    prepared = made.prepare(np.zeros((64, 128, 1), np.uint8))
    assert prepared.inputs.shape == (1, 1, 64, 128) and made.open(threads=1)(prepared.inputs).shape[-2:] == (64, 128)


def test_overwrite_replaces_an_artifact(tiny, tmp_path):
    make(tiny, tmp_path / 'a', verify=False)
    again = make(tiny, tmp_path / 'a', output='logits', overwrite=True, verify=False)
    assert Artifact.load(str(tmp_path / 'a')).output == again.output == 'logits'
    assert os.listdir(tmp_path) == ['a']
    (tmp_path / 'a' / 'notes.txt').touch()
    with pytest.raises(InputError, match=r"out: expected an artifact and nothing else .*, got \['notes.txt'\]"):
        make(tiny, tmp_path / 'a', overwrite=True, verify=False)


def test_an_empty_folder_that_must_stay_is_filled(tiny, tmp_path, monkeypatch):
    (tmp_path / 'here').mkdir()
    (tmp_path / 'link').symlink_to('here')
    monkeypatch.chdir(tmp_path / 'here')
    before = os.stat('.').st_ino
    make(tiny, '.', verify=False)
    assert os.stat('.').st_ino == before and Artifact.load('.').file == 'end2end.onnx'
    again = make(tiny, tmp_path / 'link', output='logits', overwrite=True, verify=False)
    assert (tmp_path / 'link').is_symlink() and Artifact.load(again.folder).output == 'logits'


def test_folders_of_killed_runs_are_removed_and_no_others(tiny, tmp_path):
    import platform
    ended = subprocess.Popen([sys.executable, '-c', ''])
    ended.wait()
    gone, own, foreign = (tmp_path / f'.deploy-{name}-abc' for name in
                          (f'{platform.node()}-{ended.pid}', f'{platform.node()}-{os.getpid()}', f'other-{ended.pid}'))
    for folder in (gone, own, foreign):
        (folder / 'artifact').mkdir(parents=True)
    make(tiny, tmp_path / 'a', verify=False)
    assert sorted(os.listdir(tmp_path)) == sorted(['a', own.name, foreign.name])


@pytest.mark.parametrize(('settings', 'match'), [
    (dict(precision='int8'), 'calibration: expected a folder of images.* because the precision is int8, got None'),
    (dict(precision='int8', calibration='nowhere'), "^calibration: expected a folder, .*'nowhere'"),
    (dict(images='nowhere'), "^images: expected a folder, .*'nowhere'"),
    (dict(precision='int8', calibration='synthetic', ranges=__file__), 'ranges: expected a folder that can be made'),
])
def test_missing_images_are_refused_before_the_export(tiny, tmp_path, monkeypatch, settings, match):
    monkeypatch.setattr('bisenet_plugins.deploy.exporter._trace', lambda *_: pytest.fail('exported'))
    with pytest.raises(InputError, match=match):
        make(tiny, tmp_path / 'a', **settings)
    assert os.listdir(tmp_path) == []


def test_a_static_artifact_keeps_ratios_unless_asked(tiny, tmp_path):
    image = synthetic_samples(1, (64, 96))[0].image
    kept = make(tiny, tmp_path / 'kept', shape=(64, 128), channel_order='bgr')
    np.testing.assert_array_equal(kept.prepare(image).inputs[0, :, :96], image)
    assert kept.prepare(image).window == (0, 64, 0, 96)
    assert kept.checks['agreement'] >= 99.99
    stretched = make(tiny, tmp_path / 'stretched', shape=(64, 128), stretch=True)
    assert 'without keeping their ratio' in stretched.checks['warnings'][0] and 'warnings' not in kept.checks


@pytest.mark.slow
def test_a_distortion_shows(tiny, tmp_path):
    """Both sides of the old comparison saw the distorted image, so that it always found them equal."""
    from bisenet_plugins.deploy.verify import compare
    samples = synthetic_samples(2, (96, 64))
    for stretch, least, most in ((True, 0, 99), (False, 60, 100)):
        artifact = make(tiny, tmp_path / str(stretch), shape=(96, 128), stretch=stretch, verify=False)
        report = compare(artifact.folder, tiny[3], samples, threads=1)
        assert report['agreement'] >= 99.99
        assert least <= report['pipeline_agreement'] <= most, report
    labels = [Sample(sample.image, tiny[3](sample.image)) for sample in samples]
    report = compare(str(tmp_path / 'True'), tiny[3], labels, threads=1)
    assert report['miou_pytorch'] == 100 > report['miou_equal_inputs']
    assert report['miou_equal_inputs'] == pytest.approx(report['miou_artifact'], abs=0.1)
    assert 'points of mIoU are lost to how images are brought to (96, 128); --shape ' in report['warnings'][1]


def test_int8_is_made_and_reported(tiny, tmp_path):
    artifact = make(tiny, tmp_path / 'a', precision='int8', shape=(64, 128), calibration='synthetic',
                    calibration_images=2, search='off')
    assert (artifact.file, artifact.graph) == ('end2end_int8.onnx', 'end2end_int8.onnx')
    assert artifact.quantization['images'] == 2


def contained(tiny, folder, **settings):
    """A self-contained graph of a pipeline that resizes and pads, and the network with it."""
    cfg = tiny_config(test_cfg=dict(size_divisor=32))
    cfg.test_pipeline.insert(1, dict(type='Resize', scale=(160, 96), keep_ratio=True))
    options = DeployOptions(**{'image_count': 2, 'threads': 1, 'dump_info': False, 'channel_order': 'rgb', **settings})
    return deploy(cfg, tiny[2], str(folder), options), Predictor(cfg, tiny[2], backend='torch')


@pytest.mark.parametrize('settings', [
    {}, dict(backend='openvino'), dict(shape=(70, 100)), dict(exporter='program', shape=(70, 100)),
    pytest.param(dict(backend='torch-export'), marks=pytest.mark.slow)])
def test_a_self_contained_graph_resizes_and_pads_by_itself(tiny, tmp_path, settings):
    for module in {'program': ['onnxscript'], 'openvino': ['openvino']}.get(
            settings.get('exporter', settings.get('backend')), []):
        pytest.importorskip(module)
    artifact, network = contained(tiny, tmp_path / 'a', **settings)
    for size in [(70, 100)] if 'shape' in settings else [(70, 100), (101, 40), (192, 320)]:
        image = synthetic_samples(1, size)[0].image
        alone = artifact.open(1)(np.ascontiguousarray(image[None, ..., ::-1]))[0]
        assert alone.shape == size, 'nothing is left to the one who calls the graph'
        assert (alone == network(image)).mean() > 0.99


@pytest.mark.parametrize('shape', [(70, 100), None])
def test_a_network_that_pads_takes_any_shape(tiny, tmp_path, shape):
    cfg = tiny_config(test_cfg=dict(size_divisor=32))
    options = DeployOptions(image_count=1, threads=1, dump_info=False, shape=shape)
    assert deploy(cfg, tiny[2], str(tmp_path / 'a'), options).checks['agreement'] == 100


def test_masks_that_are_resized_stay_near_the_network_s_own(tiny, tmp_path):
    cfg = tiny_config()
    cfg.test_pipeline.insert(1, dict(type='Resize', scale=(256, 128), keep_ratio=True))
    artifact = deploy(cfg, tiny[2], str(tmp_path / 'a'), DeployOptions(image_count=1, threads=1, dump_info=False))
    network, image = Predictor(cfg, tiny[2], backend='torch'), synthetic_samples(1, (75, 150))[0].image
    masks = Predictor(artifact.folder)(image), network(image)
    shifted = [(np.roll(masks[0], step, (0, 1)) == masks[1])[2:-2, 2:-2].mean() for step in ((0, 0), (1, 1), (-1, -1))]
    assert shifted[0] > 0.9 and shifted[0] == max(shifted), 'sampled at the centres, nothing moves'
    report = compare(artifact.folder, network, [Sample(image, masks[1])], 1)
    assert report['agreement'] == 100 > report['pipeline_agreement'] and report['miou_pytorch'] == 100


def test_one_class_is_exported_with_its_background(tiny, tmp_path):
    cfg = tiny_config()
    for head in (cfg.model.decode_head, *cfg.model.auxiliary_head):
        head.update(num_classes=1, out_channels=1, threshold=0.4)
    named = dict(classes=['pool'], palette=[[1, 2, 3]])
    cfg.test_dataloader = dict(dataset=dict(type='BaseSegDataset', metainfo=named))
    network = Predictor(cfg)
    assert network.classes == ('background', 'pool') and network.palette[:2].tolist() == [[0, 0, 0], [1, 2, 3]]
    deploy(cfg, None, str(tmp_path / 'a'), DeployOptions(image_count=1, threads=1, dump_info=False))
    predictor = Predictor(str(tmp_path / 'a'))
    assert (predictor.classes, predictor.threshold) == (network.classes, pytest.approx(0.4))


def test_a_network_of_four_channels_is_refused(tiny, tmp_path):
    cfg = tiny_config()
    cfg.model.data_preprocessor.update(mean=[1.0], std=[2.0])
    cfg.model.backbone.in_channels = 4
    with pytest.raises(InputError, match='config: expected a network of grey or colour images, got .one of 4 channels'):
        deploy(cfg, None, str(tmp_path / 'a'), DeployOptions())
