"""The speed benchmark from its command line."""

import json

import pytest

from benchmarks.speed import main


def test_runs_and_draws(config, tmp_path, capsys):
    out = tmp_path / 'speed.json'
    main([f'a={config}', f'b=mmseg:{config}', '--rounds', '1', '--image-size', '32', '64', '--size', '16', '32',
          '--miou', 'a=50', 'b=60', '--no-memory', '--out', str(out)])
    report = json.loads(out.read_text())
    assert [(row['name'], row['miou']) for row in report['rows']] == [('a', 50.0), ('b', 60.0)]
    assert out.with_suffix('.png').read_bytes().startswith(b'\x89PNG') and '| a | ' in capsys.readouterr().out
    main(['--draw', str(out), '--out', str(tmp_path / 'again.png')])
    assert (tmp_path / 'again.png').is_file()


@pytest.mark.parametrize(('argv', 'message'), [
    ([], 'expected candidates, or --draw'),
    (['--draw', 'a.json'], 'expected candidates, or --draw'),
    (['a.py', '--miou', 'a'], 'expected --miou NAME=PERCENT, got a'),
    (['a.py', '--read-file'], 'expected --image with --read-file'),
])
def test_wrong_options_are_named(argv, message, capsys):
    with pytest.raises(SystemExit):
        main(argv)
    assert message in capsys.readouterr().err


def test_wrong_candidate_is_named():
    with pytest.raises(SystemExit, match='error: expected a config .* got none.txt'):
        main(['none.txt'])
