"""What the tests of the commands share."""

import pytest

from bisenet_plugins.cli.main import run_command


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
