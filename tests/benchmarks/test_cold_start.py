"""Commands in fresh processes."""

import json

from benchmarks import cold_start


def test_commands_are_timed_in_fresh_processes(tmp_path, monkeypatch):
    names = ('bisenet predict --backend torch', 'bisenet --help', 'import mmseg.apis',
             'import mmseg.apis, bisenet_plugins')
    assert set(names) < set(cold_start.commands()) and 'bisenet predict, before' in cold_start.commands('folder')
    light = {name: (str(cold_start.ROOT), ('-c', 'import sys; assert "torch" not in sys.modules')) for name in names}
    monkeypatch.setattr(cold_start, 'commands', lambda before: light)
    cold_start.main(['--rounds', '2', '--out', str(tmp_path / 'a.json')])
    report = json.loads((tmp_path / 'a.json').read_text())
    assert [row['name'] for row in report['rows']] == list(names) and report['rows'][0]['ms']['rounds'] == 2
    assert report['settings']['scenario'] == 'fresh process' and len(report['ratios']) == 3
