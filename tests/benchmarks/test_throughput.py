"""Folders and videos against the network alone."""

import json

from benchmarks.throughput import main


def test_every_source_is_timed_to_the_end(config, tmp_path, capsys):
    main([f'torch:{config}', '--count', '5', '--batch', '2', '--rounds', '1', '--image-size', '32', '64', '--out',
          str(tmp_path / 'a.json')])
    rows = json.loads((tmp_path / 'a.json').read_text())['rows']
    assert [row['name'] for row in rows] == ['network alone', 'JPEG files to masks', 'PNG files to masks',
                                             'JPEG files to overlays', 'video to video']
    assert rows[0]['share_of_the_network'] == 1 and all(0 < row['share_of_the_network'] <= 1.5 for row in rows)
