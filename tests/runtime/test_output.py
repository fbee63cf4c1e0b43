"""What a network computes fits what it says of itself."""

import numpy as np
import pytest
import torch

from bisenet_plugins import pretrained_names
from bisenet_plugins.errors import InputError
from bisenet_plugins.runtime.predictor import Predictor
from bisenet_plugins.weights import store


@pytest.mark.parametrize(('output', 'found'), [
    (np.zeros((1, 4, 5, 6), np.float32), 4), (np.zeros((1, 2, 5, 6), np.float32), 2), (torch.zeros(1, 1, 5, 6), 1),
    (np.full((1, 1, 40, 48), 3, np.uint8), 4), (np.full((1, 40, 48), 9), 10)])
def test_other_classes_than_the_network_has_are_refused(small_config, monkeypatch, output, found):
    predictor = Predictor(small_config, backend='torch')
    monkeypatch.setattr(predictor, '_made', lambda: lambda inputs: output)
    with pytest.raises(InputError, match=f'^the network.s output: expected 3 classes, got {found}$'):
        predictor(np.zeros((20, 24, 3), np.uint8))


def test_a_shipped_int8_graph_goes_to_the_backend_that_computes_it(caplog):
    pytest.importorskip('onnxruntime')
    for network in (pretrained_names()[0], store.shipped_graph('bisenetv2-camvid', 'int8')):
        found = Predictor(network, precision='int8', threads=1)
        found(np.zeros((32, 48, 3), np.uint8))
        assert (found.backend, found.precision, caplog.text) == ('onnxruntime', 'int8', '')
