"""The commands whose figures the docs quote."""

import importlib
import shlex

import pytest

from benchmarks import suite


def test_every_command_is_one_of_a_benchmark_and_writes_its_own_result(capsys):
    suite.main(['--list'])
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(suite.commands())
    for name, line in suite.commands().items():
        assert line in listed and line.endswith(f'--out benchmarks/results/{name}.json')
        assert callable(importlib.import_module(shlex.split(line)[2]).main)


@pytest.mark.parametrize('name', list(suite.commands()))
def test_its_options_are_known(name, monkeypatch):
    """Read by the benchmark's own parser, which must not refuse them."""
    words = shlex.split(suite.commands()[name])
    module = importlib.import_module(words[2])
    read = []

    def parsed(parser, argv):
        read.append(parser.parse_args(argv))
        raise SystemExit(0)

    monkeypatch.setattr(module, 'parse', parsed)
    with pytest.raises(SystemExit) as end:
        module.main(words[3:])
    assert end.value.code == 0 and read[0].out.endswith(f'{name}.json')


def test_names_are_chosen_and_failures_are_named(monkeypatch, capsys):
    class Done:
        returncode = 1

    monkeypatch.setattr(suite.subprocess, 'run', lambda *_, **__: Done)
    with pytest.raises(SystemExit, match='error: failed: mask'):
        suite.main(['mask'])
    with pytest.raises(SystemExit):
        suite.main(['none'])
    assert 'expected names out of cold_start' in capsys.readouterr().err
