"""Making samples is timed fairly, and what is made agrees."""

import json
from pathlib import Path

import pytest

from benchmarks.data_loading import PROTOCOLS, main, time_samples


def test_report_has_times_ratios_and_agreement(tmp_path):
    out = tmp_path / 'data.json'
    main(['--rounds', '1', '--images', '1', '--size', '64', '128', '--out', str(out)])
    report = json.loads(out.read_text())
    assert {row['name'].partition(':')[0] for row in report['rows']} == set(PROTOCOLS)
    assert all(row['samples_per_second_per_core'] > 0 for row in report['rows'])
    assert {row['of'] for row in report['ratios']} == {f'{name}: mmseg' for name in PROTOCOLS}
    for protocol in PROTOCOLS:
        agreement = report['checks'][f'agreement, {protocol}']
        assert agreement['equal_labels'] == 1.0 and agreement['psnr_db'] > 40


def test_the_page_has_the_times_of_the_record():
    root = Path(__file__).resolve().parents[2]
    rows = json.loads((root / 'benchmarks/results/data.json').read_text())['rows']
    page = (root / 'docs/scaling.md').read_text().partition('| pipeline |')[2].partition('\n\n')[0]
    for row in rows:
        assert f'| {row["ms"]["median"]:.1f} |' in page, row['name']


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(protocols=['other']), r"expected protocols out of .*, got \['other'\]"),
    (dict(rounds=0), 'expected rounds and images of at least 1, got 0 and 4'),
])
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        time_samples(**settings)
