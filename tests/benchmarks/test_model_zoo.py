"""The zoo's generator, on a repository with one config."""

import json
from pathlib import Path

import pytest
import yaml

from benchmarks.model_zoo import COLLECTIONS, LOGS, ZooEntry, best_metric, read_entries, write_zoo, zoo_configs

ROOT = Path(__file__).resolve().parents[2]


def test_best_metric_reads_both_kinds_of_log(tmp_path):
    (tmp_path / 'scalars.json').write_text('{"loss": 1}\n{"mIoU": 41.4900016784668, "step": 10}\n{"mIoU": 40.0}\n')
    (tmp_path / 'run.txt').write_text('Iter(val) [10/10]    aAcc: 90.1  mIoU: 57.2500  mAcc: 66.0\n')
    assert best_metric(tmp_path / 'scalars.json') == 41.49
    assert best_metric(tmp_path / 'run.txt') == 57.25
    (tmp_path / 'empty.txt').write_text('loss: 1')
    with pytest.raises(ValueError, match='expected log to hold mIoU, got .* without it'):
        best_metric(tmp_path / 'empty.txt')


def test_command_names_the_launcher_where_there_are_several_processes():
    def entry(name, gpus):
        return ZooEntry(Path(name), 'CamVid', (64, 64), gpus, 8, 100, None, None, None)

    assert entry('configs/a.py', 1).command == 'python tools/train.py configs/a.py'
    assert entry('configs/a_4xb4-2k_b.py', 4).command == (
        'torchrun --nproc_per_node=4 tools/train.py configs/a_4xb4-2k_b.py --launcher pytorch')
    assert entry('configs/a_2xb4-cpu-2k_b.py', 2).command.startswith('OMP_NUM_THREADS=1 torchrun --nproc_per_node=2 ')


@pytest.fixture
def small_zoo(tmp_path):
    """A repository with one config and empty pages."""
    source = next(path for path in zoo_configs(ROOT) if path.parts[1] == 'baselines')
    (tmp_path / 'configs').mkdir()
    (tmp_path / 'configs' / '_base_').symlink_to(ROOT / 'configs' / '_base_')
    for folder in COLLECTIONS:
        page = tmp_path / 'configs' / folder / 'README.md'
        page.parent.mkdir()
        page.write_text('text\n<!-- model zoo -->\n<!-- end of model zoo -->\n')
    (tmp_path / source).write_text((ROOT / source).read_text(encoding='utf-8'))
    return tmp_path, source


def test_pages_are_written_from_configs_and_logs(small_zoo):
    root, source = small_zoo
    write_zoo(root)
    page = (root / 'configs' / 'baselines' / 'README.md').read_text()
    assert '<summary>1 recipes that were not run here</summary>' in page and 'Trained here' not in page

    (root / LOGS).parent.mkdir(parents=True)
    (root / LOGS.with_name('run.json')).write_text('{"mIoU": 33.25}\n')
    (root / LOGS).write_text(json.dumps({source.as_posix(): LOGS.with_name('run.json').as_posix()}))
    write_zoo(root)
    (entry,) = read_entries(root, 'baselines')
    assert entry.miou == 33.25 and entry.dataset == 'CamVid' and entry.batch == 8 and entry.iterations == 1500
    page = (root / 'configs' / 'baselines' / 'README.md').read_text()
    assert page.startswith('text\n') and '| 33.25 | [log](../../benchmarks/results/run.json) |' in page
    assert f'python tools/train.py {source.as_posix()}\n' in page and 'not run here' not in page
    (model,) = yaml.safe_load((root / 'configs' / 'baselines' / 'metafile.yml').read_text())['Models']
    assert model['Training Log'] == 'benchmarks/results/run.json' and model['Metadata']['Parameters'] > 3_000_000


def test_page_without_marks_is_refused(small_zoo):
    root, _ = small_zoo
    (root / 'configs' / 'bisenetv1' / 'README.md').write_text('text')
    with pytest.raises(ValueError, match='to hold the marks'):
        write_zoo(root)
