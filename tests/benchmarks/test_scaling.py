"""Time against pixels."""

import itertools

import pytest

from benchmarks.scaling import main, time_sizes


def test_exponent_is_that_of_the_times(config, monkeypatch):
    seconds = itertools.cycle([1.0, 16.0])
    monkeypatch.setattr('benchmarks.scaling.interleave', lambda *_, **__: dict(whole=[next(seconds)]))
    report = time_sizes(dict(name='ours', kind='torch', path=config), [(32, 64), (64, 128)], 1)
    assert report.checks['exponents']['whole'] == 2.0  # four times the pixels, sixteen times the time
    assert {'network', 'mask'} <= set(report.checks['exponents'])
    with pytest.raises(ValueError, match='expected two sizes or more, got 1'):
        time_sizes(dict(name='ours', kind='torch', path=config), [(32, 64)], 1)


def test_runs_from_the_command_line(config, tmp_path):
    out = tmp_path / 'scaling.json'
    main([config, '--steps', '2', '--smallest', '32', '64', '--rounds', '1', '--out', str(out)])
    assert out.is_file() and out.with_suffix('.png').is_file()
    with pytest.raises(SystemExit, match='error: expected two sizes or more'):
        main([config, '--steps', '1'])
