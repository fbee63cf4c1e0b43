"""Programs are loaded, or refused in one sentence; tests/deploy/test_programs.py compares them with their network."""

import numpy as np
import pytest
import torch

from bisenet_plugins.errors import DeployError
from bisenet_plugins.runtime.backends import open_backend


def test_a_program_shows_its_output_where_it_is_scores(tmp_path):
    inputs = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    for module, shown in ((torch.nn.ReLU(), True), (Classes(), False)):
        torch.export.save(torch.export.export(module, (torch.from_numpy(inputs),)), tmp_path / 'm.pt2')
        backend = open_backend('torch-export', tmp_path / 'm.pt2')
        np.testing.assert_array_equal(backend(inputs), module(torch.from_numpy(inputs)).numpy())
        assert (backend.scores(inputs) is not None) == shown


class Classes(torch.nn.Module):
    def forward(self, x):
        return x.argmax(1)


def test_a_damaged_program_is_refused_in_one_sentence(tmp_path):
    (tmp_path / 'm.pt2').write_bytes(b'no program')
    with pytest.raises(DeployError, match=r'm\.pt2 cannot be loaded by torch-export: '):
        open_backend('torch-export', tmp_path / 'm.pt2')
