"""Training runs compared."""

import json

import pytest

from benchmarks.compare_runs import compare_runs, main


def write_log(path, scores):
    lines = [dict(loss=3.0 - step / 100, time=0.5, step=step) for step in (10, 20)]
    lines += [dict(mIoU=score, step=step) for step, score in scores.items()]
    path.write_text('\n'.join(json.dumps(line) for line in lines))
    return path


def test_table_json_and_plot(tmp_path):
    logs = dict(ours=write_log(tmp_path / 'a.json', {10: 41.0, 20: 40.0}),
                theirs=write_log(tmp_path / 'b.json', {20: 30.5}))
    table = compare_runs(logs, tmp_path / 'out' / 'result', 'two runs')
    assert '| ours | 20 | 40.00 | 41.00 |' in table and '| theirs | 20 | 30.50 | 30.50 |' in table
    figures = json.loads((tmp_path / 'out' / 'result.json').read_text())
    assert figures['runs']['ours']['mIoU'] == {'10': 41.0, '20': 40.0}
    assert figures['runs']['theirs']['loss'] == {'10': 2.9, '20': 2.8}
    assert (tmp_path / 'out' / 'result.png').read_bytes().startswith(b'\x89PNG')
    assert (tmp_path / 'out' / 'result.md').read_text() == f'# Runs of the same protocol\n\n{table}'


@pytest.mark.parametrize('content', [None, '{"loss": 1.0, "step": 1}'])
def test_a_log_without_validation_is_refused(tmp_path, content):
    path = tmp_path / 'scalars.json'
    if content:
        path.write_text(content)
    with pytest.raises(ValueError, match='expected the scalars.json of a validated run for ours, got .*'):
        compare_runs(dict(ours=path), tmp_path / 'out')


def test_runs_from_the_command_line(tmp_path, capsys):
    log = write_log(tmp_path / 'a.json', {20: 30.5})
    main([f'ours={log}', '--out', str(tmp_path / 'result'), '--note', 'a note'])
    assert capsys.readouterr().out.startswith('a note')
    with pytest.raises(SystemExit):
        main(['ours', '--out', 'x'])
    assert "expected NAME=LOG, got 'ours'" in capsys.readouterr().err
