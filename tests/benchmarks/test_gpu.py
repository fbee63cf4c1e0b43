"""The table of a GPU, on the CPU and with tiny maps: what is timed is there, and the masks agree."""

import json

import pytest
import torch

from benchmarks import gpu


@pytest.mark.slow
def test_the_table_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, 'float16', torch.float32)  # half precision on a CPU takes minutes
    monkeypatch.setattr(gpu, 'apart', lambda *_: dict(seconds=[0.1], peak_memory_mb=1.0))
    gpu.main(['--device', 'cpu', '--size', '32', '64', '--rounds', '1', '--out', 'gpu.json'])
    report = json.loads((tmp_path / 'gpu.json').read_text())
    names = [row['name'] for row in report['rows']]
    for part in ('mmseg BiSeNetV2, network, fp32', 'ours, network, fp16', 'ours, head 128, image to mask'):
        assert f'32 x 64: {part}' in names
    assert sum(name.startswith('training, ') for name in names) == 7
    ours = next(row for row in report['rows'] if row['name'] == '32 x 64: ours, image to mask')
    assert ours['agreement_with_mmseg'] > 0.95
    assert report['checks']['papers'] == gpu.PAPERS and len(report['ratios']) == 2
