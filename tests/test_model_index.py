"""The model index: every config is listed, every metric has its log, and the pages are up to date."""

import json
import re
from pathlib import Path

import pytest
import yaml

from benchmarks.model_zoo import COLLECTIONS, LOGS, best_metric, render_zoo, zoo_configs

ROOT = Path(__file__).resolve().parents[1]
every_folder = pytest.mark.parametrize('folder', COLLECTIONS)


def metafile(folder: str) -> dict:
    return yaml.safe_load((ROOT / 'configs' / folder / 'metafile.yml').read_text(encoding='utf-8'))


@pytest.mark.slow
def test_pages_are_up_to_date():
    """If not: python benchmarks/model_zoo.py."""
    stale = [path.as_posix() for path, text in render_zoo(ROOT).items() if (ROOT / path).read_text('utf-8') != text]
    assert not stale


def test_index_names_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text(encoding='utf-8'))
    folders = {path.parent.name for path in (ROOT / 'configs').glob('*/*.py')} - {'deploy', '_base_'}
    assert index['Import'] == [f'configs/{folder}/metafile.yml' for folder in COLLECTIONS]
    assert folders == set(COLLECTIONS)


@every_folder
def test_every_config_is_listed_once(folder):
    expected = {path.as_posix() for path in zoo_configs(ROOT) if path.parts[1] == folder}
    page = metafile(folder)
    readme = (ROOT / 'configs' / folder / 'README.md').read_text(encoding='utf-8')
    listed = [model['Config'] for model in page['Models']]
    assert len(listed) == len(expected) and set(listed) == expected
    links = re.findall(r'^\| \[.*?\]\((.*?\.py)\) \| ', readme, re.MULTILINE)
    assert [f'configs/{folder}/{link}' for link in links] == listed  # what was run stands first in both
    assert all(model['Name'] == Path(model['Config']).stem for model in page['Models'])
    assert {model['In Collection'] for model in page['Models']} == {page['Collections'][0]['Name']}
    assert (ROOT / page['Collections'][0]['README']).is_file()


@every_folder
def test_every_metric_has_its_log(folder):
    for model in metafile(folder)['Models']:
        (result,) = model['Results']
        if result['Metrics']['mIoU'] == 'not run':
            assert 'Training Log' not in model
        else:
            assert result['Metrics']['mIoU'] == best_metric(ROOT / model['Training Log'])


def test_logs_are_those_of_configs_that_exist():
    logs = json.loads((ROOT / LOGS).read_text(encoding='utf-8'))
    assert not set(logs) - {path.as_posix() for path in zoo_configs(ROOT)}
