"""Small-budget ablations: every row builds, runs are not repeated, and the table says when the order fails."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmseg.registry import MODELS

from benchmarks import ablation

CONFIG = ablation.CONFIG
NO_OHEM = {*ablation.ORDER[:-1]}


@pytest.mark.parametrize('row', [*ablation.ORDER, 'depthwise', 'mobilenetv2'])
def test_row_is_what_it_says(row, tmp_path):
    first = ablation.row_config(CONFIG, row, 2, 40, tmp_path)
    cfg = ablation.row_config(CONFIG, row, 3, 40, tmp_path)
    assert cfg.model == first.model
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == 40 and cfg.randomness.seed == 3
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    boosters = list(getattr(model, 'auxiliary_head', None) or [])
    losses = {type(head.loss_decode).__name__ for head in (model.decode_head, *boosters)}
    assert losses == {'CrossEntropyLoss' if row in NO_OHEM else 'OhemCrossEntropyLoss'}
    assert len(boosters) == (4 if row in (*ablation.ORDER[-2:], 'depthwise', 'mobilenetv2') else 0)
    assert model.eval()(torch.zeros(1, 3, 64, 64, device='meta')).shape[1] == 11


def test_one_branch_alone_is_the_configs_own(tmp_path):
    whole, alone = (ablation.row_config(CONFIG, row, 0, 10, tmp_path).model for row in ('bga', 'detail-only'))
    assert alone.backbone == whole.backbone.detail_branch and alone.decode_head.channels == whole.decode_head.channels


def test_runs_are_kept_and_not_repeated(tmp_path, monkeypatch):
    ran = []

    def run_training(cfg):
        ran.append(cfg.experiment_name)
        data = Path(cfg.work_dir) / 'now' / 'vis_data'
        data.mkdir(parents=True)
        (data / 'scalars.json').write_text('{"mIoU": 30.0}\n')
        value = SimpleNamespace(current=lambda: 30.0 + len(ran))
        return SimpleNamespace(message_hub=SimpleNamespace(get_scalar=lambda key: value))

    monkeypatch.setattr(ablation, 'run_training', run_training)
    out = tmp_path / 'docs' / 'ablation.json'
    settings = (CONFIG, ['detail-only', 'sum'])
    ablation.run_ablation(*settings, [0], 20, out, tmp_path / 'runs')
    result = ablation.run_ablation(*settings, [0, 1], 20, out, tmp_path / 'runs')
    assert ran == ['ablation-detail-only-0', 'ablation-sum-0', 'ablation-detail-only-1', 'ablation-sum-1']
    assert json.loads(out.read_text()) == result
    assert result['miou'] == {'detail-only': {'0': 31.0, '1': 33.0}, 'sum': {'0': 32.0, '1': 34.0}}
    assert '| sum | 0 1 | 33.00 | 1.41 | 32.00 34.00 |' in out.with_suffix('.md').read_text()
    assert (tmp_path / 'docs' / 'ablation-logs' / 'sum-1.json').is_file()
    with pytest.raises(ValueError, match='expected out to be a new file or one of the same settings'):
        ablation.run_ablation(*settings, [0], 30, out, tmp_path / 'runs')


def test_table_says_when_the_order_does_not_come_out():
    runs = dict(settings=dict(config='c.py', iters=9), miou={'sum': {'0': 40.0}, 'bga-no-booster': {'0': 39.0}})
    assert "not in the order of the paper's Table 2: bga-no-booster is below sum." in ablation.format_ablation(runs)
    runs['miou'] = dict(sum={'0': 40.0}, depthwise={'0': 39.0})
    assert 'order' not in ablation.format_ablation(runs)


def test_unknown_row_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected row to be one of .*, got 'both'"):
        ablation.row_config(CONFIG, 'both', 0, 10, tmp_path)
