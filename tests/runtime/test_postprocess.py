"""From outputs to masks, against the plain computation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bisenet_plugins.errors import InputError
from bisenet_plugins.runtime.postprocess import to_mask, to_scores
from bisenet_plugins.runtime.preprocess import Prepared


def prepared(size, inputs=(64, 96), window=None):
    return Prepared(np.zeros((1, 3, *inputs), np.float32), size, window or (0, inputs[0], 0, inputs[1]))


def test_logits_are_resized_and_decided():
    logits = torch.randn(1, 5, 8, 12)
    wanted = F.interpolate(logits, (64, 96), mode='bilinear').argmax(1)[0].numpy()
    for output in (logits, logits.numpy()):
        np.testing.assert_array_equal(to_mask(output, prepared((64, 96))), wanted)


def test_padding_is_taken_off():
    logits = torch.randn(1, 5, 8, 12)
    wanted = F.interpolate(logits, (64, 96), mode='bilinear').argmax(1)[0, :50, :80].numpy()
    np.testing.assert_array_equal(to_mask(logits, prepared((50, 80), window=(0, 50, 0, 80))), wanted)


def test_one_channel_is_held_against_the_threshold():
    logits = torch.randn(1, 1, 8, 12)
    full = F.interpolate(logits, (64, 96), mode='bilinear')[0, 0].sigmoid().numpy()
    for threshold in (0.3, 0.5):
        np.testing.assert_array_equal(to_mask(logits, prepared((64, 96)), threshold=threshold), full > threshold)


def test_classes_have_no_probabilities():
    with pytest.raises(InputError, match='as "export --output logits" and logits_s8 write it, got one that gives cl'):
        to_scores(np.zeros((1, 1, 64, 96), np.uint8), prepared((64, 96)))


def test_classes_of_a_graph_with_argmax_are_cropped_and_resized():
    classes = np.arange(64 * 96).reshape(1, 64, 96) % 19
    mask = to_mask(classes, prepared((25, 40), window=(0, 50, 0, 80)))
    np.testing.assert_array_equal(mask, classes[0, 1:50:2, 1:80:2])
    assert mask.dtype == np.uint8


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('classes', [1, 5])
def test_logits_that_are_no_numbers_are_refused(value, classes):
    logits = torch.randn(1, classes, 8, 12)
    logits[0, -1, 3, 4] = value
    for output in (logits, logits.numpy(), logits.half()):
        for function in (to_mask, to_scores):
            with pytest.raises(InputError, match='^the network.s output: expected finite numbers, got NaN or infinity; '
                                                 'its weights or the input are damaged$'):
                function(output, prepared((64, 96)))
