"""The speed benchmark from its command line."""

import json

import cv2
import numpy as np
import pytest

from benchmarks.speed import main


def test_runs_and_draws(config, tmp_path, capsys):
    out = tmp_path / 'speed.json'
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir()
        for number in range(2):
            values = np.full((32, 64, 3), 90 * number, np.uint8) if folder == 'images' else np.arange(5).repeat(400)
            cv2.imwrite(str(tmp_path / folder / f'{number}.png'),
                        values if folder == 'images' else values.reshape(40, 50).astype(np.uint8))
    main([f'a={config}', f'b=mmseg:{config}', '--rounds', '1', '--image-size', '32', '64', '--size', '16', '32',
          '--images', str(tmp_path / 'images'), '--labels', str(tmp_path / 'labels'), '--no-memory', '--out', str(out)])
    report = json.loads(out.read_text())
    assert [row['name'] for row in report['rows']] == ['a', 'b'] and all(row['miou'] > 0 for row in report['rows'])
    assert out.with_suffix('.png').read_bytes().startswith(b'\x89PNG') and '| a | ' in capsys.readouterr().out
    main(['--draw', str(out), '--out', str(tmp_path / 'again.png')])
    assert (tmp_path / 'again.png').is_file()


@pytest.mark.parametrize(('argv', 'message'), [
    ([], 'expected candidates, or --draw'),
    (['--draw', 'a.json'], 'expected candidates, or --draw'),
    (['a.py', '--labels', 'a'], 'expected --images with --labels'),
])
def test_wrong_options_are_named(argv, message, capsys):
    with pytest.raises(SystemExit):
        main(argv)
    assert message in capsys.readouterr().err


def test_wrong_candidate_is_named():
    with pytest.raises(SystemExit, match='error: expected a config .* got none.txt'):
        main(['none.txt'])
