"""Comparison of artifacts with their network, its thresholds, and the latency table."""

import json
import shutil

import numpy as np
import pytest

from bisenet_plugins.datasets.samples import Sample, synthetic_samples
from bisenet_plugins.deploy.verify import compare, judge, loaded_network, require_agreement, verify
from bisenet_plugins.errors import AgreementError, DeployError, InputError
from bisenet_plugins.runtime.artifact import META_FILE
from bisenet_plugins.runtime.predictor import Predictor
from tests.deploy.conftest import make, tiny_config


@pytest.mark.parametrize(('report', 'missed'), [
    (dict(precision='fp32', agreement=99.995), 0), (dict(precision='fp32', agreement=99.98), 1),
    (dict(precision='fp16', agreement=99.95), 0), (dict(precision='fp16', agreement=98.8), 1),
    (dict(precision='int8', agreement=90.0), 0),
    (dict(precision='int8', agreement=90.0, miou_equal_inputs=70.0, miou_artifact=69.5), 0),
    (dict(precision='int8', agreement=99.0, miou_equal_inputs=70.0, miou_artifact=69.4), 1),
    (dict(precision='fp32', agreement=100.0, miou_equal_inputs=70.0, miou_artifact=69.4), 1),
    (dict(precision='fp32', agreement=100.0, miou_pytorch=70.0, miou_equal_inputs=60.0, miou_artifact=60.0), 0),
])
def test_thresholds(report, missed):
    assert len(judge(report)) == missed
    if missed:
        with pytest.raises(AgreementError, match='differs from the PyTorch model: expected'):
            require_agreement(dict(report, backend='openvino'))


def test_compare_counts_labels(tiny):
    image = synthetic_samples(1, (64, 128))[0].image
    report = compare(tiny[0].folder, tiny[3], [Sample(image, np.zeros((64, 128), np.int64))], threads=1)
    assert report['miou_pytorch'] == pytest.approx(report['miou_artifact'], abs=0.1)


@pytest.mark.parametrize('ignored', [0, 5])
def test_labels_are_ignored_where_the_head_ignores_them(tiny, monkeypatch, ignored):
    image = synthetic_samples(1, (64, 128))[0].image
    label = np.indices((64, 128)).sum(0) % 4 + 1
    label[:32] = 255
    wanted = compare(tiny[0].folder, tiny[3], [Sample(image, label)], threads=1)
    monkeypatch.setattr(tiny[3].model.decode_head, 'ignore_index', ignored)
    report = compare(tiny[0].folder, tiny[3], [Sample(image, np.where(label == 255, ignored, label))], threads=1)
    assert report == wanted and label[0, 0] == 255


def edited(artifact, folder, **changes):
    """A copy of an artifact whose artifact.json was edited by hand."""
    shutil.copytree(artifact.folder, folder)
    path = folder / META_FILE
    values = json.loads(path.read_text())
    for name, value in changes.items():
        (values['preprocess'] if name in values['preprocess'] else values)[name] = value
    path.write_text(json.dumps(values))
    return str(folder)


@pytest.mark.parametrize('wrong', [dict(mean=[0, 0, 0], std=[255, 255, 255], to_rgb=False), dict(divisor=32),
                                   dict(align_corners=True, threshold=0.25)])
def test_another_preprocessing_than_the_network_s_is_missed(tiny, tmp_path, wrong):
    folder = edited(tiny[0], tmp_path / 'a', **wrong)
    report, missed = verify(tiny_config(), tiny[2], [folder], count=1, threads=1)
    report = report['artifacts'][folder]
    assert report['agreement'] == 100 and set(report['settings']) == {*wrong}
    for name, value in wrong.items():
        assert any(f"the network's {name} in artifact.json, " in one and f'got {value}' in one for one in missed)


@pytest.mark.parametrize('settings', [
    dict(shape=(96, 128)), dict(shape=(96, 128), stretch=True),
    dict(shape=(128, 256), channel_order='bgr', network_size=(64, 128)), dict(channel_order='rgb')])
def test_what_a_shape_brings_is_no_difference(tiny, tmp_path, settings):
    report = compare(make(tiny, tmp_path / 'a', verify=False, **settings).folder, tiny[3], synthetic_samples(1), 1)
    assert 'settings' not in report and not judge(report)


def test_steps_that_no_artifact_holds_are_warned_of(tiny, tmp_path):
    odd = tiny_config()
    odd.test_pipeline.insert(1, dict(type='RandomFlip', prob=1.0))
    report, missed = verify(odd, tiny[2], [tiny[0].folder], count=1, threads=1)
    assert not missed and 'has steps that no artifact can hold' in report['artifacts'][tiny[0].folder]['warnings'][0]


def test_int8_that_is_far_off_is_warned_of(tiny, tmp_path):
    """And nothing else is blamed for it."""
    folder, other = edited(tiny[0], tmp_path / 'a', precision='int8'), Predictor(tiny_config(), backend='torch')
    samples = [Sample(np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8))]
    report = compare(folder, other, samples, 1)
    (warning,) = report['warnings']
    assert not judge(report) and report['agreement'] < 95
    assert warning == (f'expected 95.0 % of the pixels or more to agree at int8, got {report["agreement"]:.1f} %; the '
                       'calibration images are probably unlike these')
    assert 'warnings' not in compare(folder, tiny[3], samples, 1)


def test_another_number_of_classes_is_one_sentence(tiny):
    other = tiny_config()
    other.model.decode_head.num_classes = 3
    with pytest.raises(InputError, match='artifact: expected 3 classes, as the network has, got 5'):
        verify(other, None, [tiny[0].folder], count=1)


def test_folders_of_one_name_are_all_reported(tiny, tmp_path):
    folders = [str(tmp_path / name / 'X') for name in 'ab']
    for folder in folders:
        shutil.copytree(tiny[0].folder, folder)
    report, missed = verify(tiny_config(), tiny[2], folders, count=1, rounds=1, threads=1)
    assert (list(report['artifacts']), list(report['latency_ms']), missed) == (folders, folders, [])
    assert report['latency_ms'][folders[0]]['rounds'] == 1


@pytest.mark.parametrize(('settings', 'match'), [
    (dict(count=0), 'count: expected at least 1, got 0'), (dict(rounds=-1), 'rounds: expected at least 0, got -1'),
    (dict(threads=-1), 'threads: expected at least 0, got -1'),
])
def test_numbers_are_checked(settings, match):
    with pytest.raises(InputError, match=match):
        verify(tiny_config(), None, ['nowhere'], **settings)


def test_a_folder_without_an_artifact_is_refused(tmp_path):
    with pytest.raises(DeployError, match='artifact.json'):
        verify(tiny_config(), None, [str(tmp_path)])


def test_the_network_is_no_artifact(tiny):
    with pytest.raises(InputError, match='config: expected a config file or the name of a network, got the folder'):
        loaded_network(tiny[0].folder, None)


def test_half_precision_may_let_near_ties_change_places():
    assert judge(dict(precision='fp16', agreement=99.5)) == []
    (missed,) = judge(dict(precision='fp16', agreement=98.9))
    assert missed == 'expected 99.0 % of the pixels to agree at fp16, got 98.9000 %'
