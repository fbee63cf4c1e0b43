"""The data benchmark measures what it says, at a size where that takes a moment."""

import json

import pytest

from benchmarks.data import PROTOCOLS, format_data_benchmark, measure_data


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_record_has_times_ratios_and_agreement(protocol, tmp_path):
    out = tmp_path / 'data.json'
    record = measure_data([protocol], rounds=2, pictures=1, sides=(64, 128), out=out, command='typed')
    assert json.loads(out.read_text()) == record and record['command'] == 'typed'
    part = record['protocols'][protocol]
    assert part['agreement']['equal_labels'] == 1.0 and part['agreement']['psnr_db'] > 40
    assert part['subjects']['mmseg']['ratio_to_mmseg']['of_sums'] == 1.0
    for row in part['subjects'].values():
        assert row['samples_per_second_per_core'] > 0 and row['ms']['p10'] <= row['ms']['p90']
    table = format_data_benchmark(record)
    assert all(f'| {name} |' in table for name in part['subjects'])


@pytest.mark.parametrize('settings, message', [
    (dict(protocols=['other']), r"protocols are \['other'\], some of .* are wanted"),
    (dict(rounds=1), 'rounds is 1 and pictures 4, at least 2 and 1 are wanted'),
])
def test_refuses_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        measure_data(**settings)
