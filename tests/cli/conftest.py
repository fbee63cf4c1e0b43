"""What the tests of the commands share."""

import pytest
import torch

from bisenet_plugins.cli.main import run_command
from bisenet_plugins.runtime import load_pretrained
from bisenet_plugins.weights import pretrained_names


@pytest.fixture
def bisenet(monkeypatch, tmp_path, capsys):
    """Run a command in an empty folder; return its exit status, what it printed and what it printed on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('COLUMNS', '200')

    def run(*words):
        try:
            status = run_command(argv=[str(word) for word in words])
        except SystemExit as end:
            status = end.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def no_shipped_network(monkeypatch, tmp_path):
    """A copy of the package that comes without a network."""
    monkeypatch.setattr('bisenet_plugins.weights.store.FOLDER', tmp_path)


@pytest.fixture
def network_files(tmp_path):
    """Config and weights of the first network of the package."""
    predictor = load_pretrained(pretrained_names()[0], backend='torch')
    config, weights = str(tmp_path / 'a.py'), str(tmp_path / 'a.pth')
    predictor.cfg.dump(config)
    torch.save(predictor.model.state_dict(), weights)
    return config, weights
