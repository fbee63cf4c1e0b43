"""The model zoo: every config is listed, every metric has its log, and the pages are as the tool writes them."""

import json
import re
from pathlib import Path

import pytest
import yaml

from benchmarks.model_zoo import COLLECTIONS, best_metric, read_entries, write_zoo, zoo_configs

ROOT = Path(__file__).resolve().parents[1]
every_folder = pytest.mark.parametrize('folder', COLLECTIONS)


def metafile(folder: str) -> dict:
    return yaml.safe_load((ROOT / 'configs' / folder / 'metafile.yml').read_text(encoding='utf-8'))


def test_index_names_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text(encoding='utf-8'))
    folders = {path.parent.name for path in (ROOT / 'configs').glob('*/*.py')} - {'deploy', '_base_'}
    assert index['Import'] == [f'configs/{folder}/metafile.yml' for folder in COLLECTIONS]
    assert folders == set(COLLECTIONS)


@every_folder
def test_every_config_is_listed_once(folder):
    wanted = [path.as_posix() for path in zoo_configs(ROOT) if path.parent.name == folder]
    page = metafile(folder)
    readme = (ROOT / 'configs' / folder / 'README.md').read_text(encoding='utf-8')
    assert [model['Config'] for model in page['Models']] == wanted
    assert re.findall(r'^\| \[.*?\]\((.*?\.py)\) \| ', readme, re.MULTILINE) == [Path(path).name for path in wanted]
    assert all(model['Name'] == Path(model['Config']).stem for model in page['Models'])
    assert {model['In Collection'] for model in page['Models']} == {page['Collections'][0]['Name']}
    assert (ROOT / page['Collections'][0]['README']).is_file()


@every_folder
def test_every_metric_has_its_log(folder):
    readme = (ROOT / 'configs' / folder / 'README.md').read_text(encoding='utf-8')
    for model in metafile(folder)['Models']:
        (result,) = model['Results']
        if result['Metrics']['mIoU'] == 'not run':
            assert 'Training Log' not in model
            shown = 'not run'
        else:
            assert result['Metrics']['mIoU'] == best_metric(ROOT / model['Training Log'])
            shown = f'{result["Metrics"]["mIoU"]:.2f}'
        (line,) = [line for line in readme.splitlines() if line.startswith(f'| [{model["Name"]}]')]
        assert f'| {shown} |' in line


def test_best_metric_reads_both_kinds_of_log(tmp_path):
    (tmp_path / 'scalars.json').write_text('{"loss": 1}\n{"mIoU": 41.4900016784668, "step": 10}\n{"mIoU": 40.0}\n')
    (tmp_path / 'run.txt').write_text('Iter(val) [10/10]    aAcc: 90.1  mIoU: 57.2500  mAcc: 66.0\n')
    assert best_metric(tmp_path / 'scalars.json') == 41.49
    assert best_metric(tmp_path / 'run.txt') == 57.25
    (tmp_path / 'empty.txt').write_text('loss: 1')
    with pytest.raises(ValueError, match='log must hold mIoU, but .* does not'):
        best_metric(tmp_path / 'empty.txt')


@pytest.fixture
def small_zoo(tmp_path):
    """A repository with one config and empty pages."""
    source = next(path for path in zoo_configs(ROOT) if path.parent.name == 'baselines')
    (tmp_path / 'configs' / '_base_').parent.mkdir()
    (tmp_path / 'configs' / '_base_').symlink_to(ROOT / 'configs' / '_base_')
    for folder in COLLECTIONS:
        page = tmp_path / 'configs' / folder / 'README.md'
        page.parent.mkdir()
        page.write_text('text\n<!-- model zoo -->\n<!-- end of model zoo -->\n')
    (tmp_path / source).write_text((ROOT / source).read_text(encoding='utf-8'))
    return tmp_path, source


def test_pages_are_written_from_configs_and_logs(small_zoo):
    root, source = small_zoo
    (root / 'benchmarks' / 'results').mkdir(parents=True)
    (root / 'benchmarks' / 'results' / 'run.json').write_text('{"mIoU": 33.25}\n')
    logs = {source.as_posix(): 'benchmarks/results/run.json'}
    (root / 'benchmarks' / 'results' / 'logs.json').write_text(json.dumps(logs))
    write_zoo(root)
    (entry,) = read_entries(root, 'baselines')
    assert entry.miou == 33.25 and entry.dataset == 'CamVid' and entry.batch == 8 and entry.iterations == 1500
    page = (root / 'configs' / 'baselines' / 'README.md').read_text()
    assert page.startswith('text\n') and '| 33.25 | [log](../../benchmarks/results/run.json) |' in page
    (model,) = yaml.safe_load((root / 'configs' / 'baselines' / 'metafile.yml').read_text())['Models']
    assert model['Training Log'] == 'benchmarks/results/run.json' and model['Metadata']['Parameters'] > 3_000_000


def test_page_without_marks_is_refused(small_zoo):
    root, _ = small_zoo
    (root / 'configs' / 'bisenetv1' / 'README.md').write_text('text')
    with pytest.raises(ValueError, match='must hold the marks'):
        write_zoo(root)
