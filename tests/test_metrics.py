"""The one confusion matrix, against mmseg's own metric."""

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from bisenet_plugins.metrics import confusion_matrix, score


def test_scores_equal_mmsegs():
    generator = np.random.default_rng(0)
    label = generator.integers(0, 4, (20, 30))
    label[:3] = 255
    mask = np.where(generator.random((20, 30)) < 0.6, label, generator.integers(0, 5, (20, 30))) % 5
    areas = IoUMetric.intersect_and_union(torch.from_numpy(mask), torch.from_numpy(label), 6, 255)
    expected = IoUMetric.total_area_to_metrics(*areas, metrics=['mIoU'])
    scores = score(confusion_matrix(mask, label, 6))
    np.testing.assert_allclose(scores.iou, 100 * expected['IoU'])
    np.testing.assert_allclose(scores.accuracy, 100 * expected['Acc'])
    assert scores.pixels == pytest.approx(100 * float(expected['aAcc']))
    assert scores.miou == pytest.approx(100 * float(np.nanmean(expected['IoU']))) and np.isnan(scores.iou[5])


def test_counts_by_hand():
    mask, label = np.array([[0, 1, 1, 2, 2]], np.uint8), np.array([[0, 0, 1, 255, 255]])
    assert confusion_matrix(mask, label, 3).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    ignored = np.where(label == 255, 0, label)
    assert confusion_matrix(mask, ignored, 3, ignore_index=0).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert confusion_matrix(mask, label.astype(np.uint16), 3).dtype == np.int64


@pytest.mark.parametrize('strange', [3, -1, 300])
def test_an_id_outside_the_classes_is_named(strange):
    with pytest.raises(ValueError, match=f'label of a.png: expected class ids from 0 to 2, or 255 .*, got {strange}$'):
        confusion_matrix(np.zeros((1, 2), np.uint8), np.array([[0, strange]]), 3, name='label of a.png')


def test_nothing_labelled_is_nan():
    scores = score(confusion_matrix(np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8), 2))
    assert np.isnan([scores.miou, scores.pixels, *scores.iou, *scores.accuracy]).all()


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"expected a mask of the label's size \(2, 2\), got \(2, 3\)"):
        confusion_matrix(np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.uint8), 2)
    with pytest.raises(ValueError, match='expected a mask of classes 0 to 1, got 0 to 7'):
        confusion_matrix(np.array([[0, 7]], np.uint8), np.zeros((1, 2), np.uint8), 2)
