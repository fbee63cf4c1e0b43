"""The verify command prints the figures, writes them, and tells what was missed by the exit status."""

import json
from pathlib import Path

import pytest

import bisenet_plugins.deploy.verify
import bisenet_plugins.runtime.artifact


@pytest.mark.parametrize('missed', [[], ['out: 5 pixels differ']])
def test_the_report_is_printed_and_written(bisenet, monkeypatch, missed):
    asked = []
    monkeypatch.setattr(bisenet_plugins.deploy.verify, 'verify',
                        lambda *arguments: asked.append(arguments) or (
                            dict(artifacts=dict(out=dict(warnings=['odd']), other={})), missed))
    monkeypatch.setattr(bisenet_plugins.runtime.artifact.Artifact, 'load', lambda folder: asked.append(folder))
    Path('a.py').touch()
    Path('a.pth').touch()
    words = ['verify', 'out', '--config', 'a.py', '--checkpoint', 'a.pth', '--latency', '3', '--json', 'figures.json']
    status, told, failure = bisenet(*words)
    assert status == len(missed) and json.loads(told) == json.loads(Path('figures.json').read_text())
    assert failure == ''.join(['warning: out: odd\n', *(f'failed: {sentence}\n' for sentence in missed)])
    assert asked == ['out', ('a.py', 'a.pth', ['out'], 'synthetic', 16, 3, 0)]


@pytest.mark.parametrize('words, status, sentence', [
    (['none'], 1, 'none'), (['none', '--latency', '0'], 2, '--latency: expected a whole number of at least 1'),
    (['none', '--threads', '-1'], 2, '--threads: expected a whole number of at least 0')])
def test_what_does_not_fit_is_one_sentence(bisenet, words, status, sentence):
    got, told, failure = bisenet('verify', *words)
    assert (got, told) == (status, '') and 'error: ' in failure and sentence in failure.splitlines()[-1]
