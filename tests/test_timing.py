"""Interleaved rounds, their statistics and the description of the machine."""

import json
import time

import pytest

from bisenet_plugins.timing import interleave, machine, spread


def test_calls_take_turns_and_the_warmup_does_not_count():
    seen = []
    calls = dict(a=lambda: seen.append('a'), b=lambda: seen.append('b') or time.sleep(0.002))
    seconds = interleave(calls, rounds=3, warmup=1)
    assert ''.join(seen) == 'abababab'
    assert list(map(len, seconds.values())) == [3, 3] and min(seconds['b']) >= 0.002 > min(seconds['a'])
    with pytest.raises(ValueError, match='rounds: expected at least 1, got 0'):
        interleave(calls, rounds=0)


def test_rounds_last_as_long_as_is_asked_for():
    seconds = interleave(dict(a=lambda: time.sleep(0.01)), rounds=1, warmup=1, least=0.1)['a']
    assert 3 <= len(seconds) <= 10 and 0.05 < sum(seconds) < 1


def test_spread_is_in_milliseconds():
    assert spread([i / 1000 for i in range(20, 0, -1)]) == dict(median=10.5, p90=19.0, min=1.0, max=20.0, rounds=20)
    assert spread([0.5]) == dict(median=500.0, p90=500.0, min=500.0, max=500.0, rounds=1)


def test_machine_can_be_written_as_json():
    import torch

    found = json.loads(json.dumps(machine()))
    assert found['cpu'] and found['cores'] >= 1
    assert (found['threads'], found['torch']) == (torch.get_num_threads(), torch.__version__)
    assert 'numpy' in found['versions']
