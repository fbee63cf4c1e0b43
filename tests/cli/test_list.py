"""The list of networks and configs is quick and complete, and says what was not run."""

import json
import sys

from bisenet_plugins.cli.list import read_configs, read_networks
from bisenet_plugins.cli.options import configs_folder
from bisenet_plugins.weights import pretrained_names


def test_a_word_that_no_name_has_is_refused(bisenet):
    assert bisenet('list', 'nothing')[::2] == (
        1, "error: WORD: expected words that are in a name of a network or config, got 'nothing'\n")


def test_every_network_and_config_is_listed(bisenet):
    status, told, _ = bisenet('list')
    stems = {path.stem for path in configs_folder().glob('*/**/*.py')
             if path.relative_to(configs_folder()).parts[0] not in ('_base_', 'deploy')}
    assert status == 0 and {word for word in told.split()} >= stems | set(pretrained_names())
    row = next(line for line in told.splitlines() if line.split()[:1] == ['bisenetv2-camvid'])
    assert row.split() == ['bisenetv2-camvid', 'CamVid', '5.00', 'M', '10.2', '64.57', '55.10']


def test_words_choose_and_json_is_read_by_programs(bisenet):
    status, told, _ = bisenet('list', 'stdc2', 'camvid', '--json')
    lists = json.loads(told)
    assert status == 0 and lists['networks'] == []
    (entry,) = lists['configs']
    assert (configs_folder() / entry['config']).is_file() and entry['val mIoU'] is None and entry['parameters'] > 1e6


def test_what_was_run_stands_first_and_a_copy_without_networks_has_none(monkeypatch, tmp_path):
    scores = [entry['val mIoU'] for entry in read_configs()]
    assert scores[0] is not None and None not in scores[:scores.index(None)]
    assert scores[scores.index(None):] == [None] * scores.count(None)
    monkeypatch.setattr('bisenet_plugins.weights.store.FOLDER', tmp_path)
    assert read_networks(read_configs()) == []


def test_without_the_mm_stack_networks_are_listed_and_what_is_missing_is_named(bisenet, monkeypatch):
    for name in ('yaml', 'mmengine'):
        monkeypatch.setitem(sys.modules, name, None)
    status, told, _ = bisenet('list')
    assert status == 0 and {*pretrained_names()} <= {*told.split()}
    assert 'configs are not listed: they need PyYAML, which comes with mmengine' in told and 'write one' not in told
    for words, name in ((['list', 'camvid-360x480'], 'yaml'), (['config', 'bisenetv2-camvid'], 'mmengine'),
                        (['config', 'bisenetv2_bga'], 'mmengine')):
        assert bisenet(*words)[::2] == (1, f"error: {name} is not installed; it comes with the extra 'onedl': "
                                           "pip install 'bisenet-plugins[onedl]'\n")
