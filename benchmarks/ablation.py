"""Train the rows of an ablation at a small equal budget, with several seeds, and write their table."""

from __future__ import annotations

import copy
import json
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bisenet_plugins.engine.launch import load_config, prepare_training, run_training
from bisenet_plugins.files import write_atomically

__all__ = ['ROWS', 'format_ablation', 'row_config', 'run_ablation']

_CE_ALONE = dict(type='CrossEntropyLoss', avg_non_ignore=True)
_CE = dict(_delete_=True, **_CE_ALONE)
_PLAIN = dict(decode_head=dict(loss_decode=_CE), auxiliary_head=None)


def _joined(aggregation: str) -> dict[str, Any]:
    return dict(decode_head=dict(loss_decode=_CE, aggregation=dict(type=aggregation)), auxiliary_head=None)


# What each row changes in the model of the config, in the order of Table 2 of the BiSeNet V2 paper.
ROWS: dict[str, dict[str, Any]] = dict(
    detail={},  # one branch alone, see row_config
    semantic={},
    sum=_joined('SumAggregation'),
    concat=_joined('ConcatAggregation'),
    bga=_PLAIN,
    booster=dict(
        decode_head=dict(loss_decode=_CE),
        auxiliary_head={stage: dict(loss_decode=_CE) for stage in ('stage2', 'stage3', 'stage4', 'stage5')}),
    ohem={})

# Other semantic branches, beside the whole network, which is the row ohem.
BRANCHES: dict[str, dict[str, Any]] = {
    'depthwise': dict(backbone=dict(semantic_branch=dict(expansion='depthwise'))),
    'mobilenetv2': dict(backbone=dict(semantic_branch=dict(_delete_=True, type='MobileNetV2'))),
}
ROWS |= BRANCHES


def row_config(config: str | Path, row: str, seed: int, iters: int, work_dir: str | Path) -> Any:
    """Make the config of one run.

    Args:
        config: The config that the rows vary: BiSeNet V2 with boosters and OHEM.
        row: One of :data:`ROWS`.
        seed: Seed of weights, order and augmentation.
        iters: Length of the training; a tenth of it warms up.
        work_dir: Folder of the run.

    Raises:
        ValueError: If there is no such row.
    """
    if row not in ROWS:
        raise ValueError(f'row must be one of {sorted(ROWS)}, got {row!r}')
    warm = max(iters // 10, 1)
    cfg = load_config(config, work_dir)
    cfg.merge_from_dict(
        dict(
            model=copy.deepcopy(ROWS[row]),  # merging takes _delete_ out
            randomness=dict(seed=seed),
            train_cfg=dict(max_iters=iters, val_interval=iters),
            default_hooks=dict(checkpoint=dict(interval=iters), logger=dict(interval=10)),
            experiment_name=f'ablation-{row}-{seed}'))
    if row in ('detail', 'semantic'):
        width = cfg.model.decode_head.channels
        head = dict(type='BoosterHead', channels=width, in_index=-1, loss_decode=_CE_ALONE)
        cfg.model.backbone = cfg.model.backbone[f'{row}_branch']
        cfg.model.decode_head, cfg.model.auxiliary_head = head, None
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, begin=0, end=warm, by_epoch=False),
        dict(type='PolyLR', power=0.9, eta_min=0.0, begin=warm, end=iters, by_epoch=False)
    ]
    return cfg


def run_ablation(config: str | Path, rows: Sequence[str], seeds: Sequence[int], iters: int, out: str | Path,
                 work_dir: str | Path) -> dict[str, Any]:
    """Train every row with every seed; what the result file holds already is not run again.

    Args:
        config: As for :func:`row_config`.
        rows: Rows, best last.
        seeds: Seeds.
        iters: Iterations of each run.
        out: The result file ``NAME.json``; ``NAME.md`` holds the table, ``NAME-logs/`` a log for each run.
        work_dir: Folder of the runs.

    Returns:
        What the result file holds.

    Raises:
        ValueError: If the result file is of other settings.
    """
    out = Path(out)
    settings = dict(config=Path(config).name, iters=iters)
    result: dict[str, Any] = json.loads(out.read_text('utf-8')) if out.is_file() else dict(settings=settings, miou={})
    if result['settings'] != settings:
        raise ValueError(f'out must name a new file or one of the same settings, {out} has {result["settings"]}')
    logs = out.with_name(f'{out.stem}-logs')
    logs.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for row in rows:
            if str(seed) in result['miou'].get(row, {}):
                continue
            folder = Path(work_dir) / f'{row}-{seed}'
            shutil.rmtree(folder, ignore_errors=True)  # of a run that was broken off
            runner = run_training(prepare_training(row_config(config, row, seed, iters, folder)))
            miou = float(runner.message_hub.get_scalar('val/mIoU').current())
            shutil.copyfile(next(folder.glob('*/vis_data/scalars.json')), logs / f'{row}-{seed}.json')
            result['miou'].setdefault(row, {})[str(seed)] = miou
            write_atomically(out, json.dumps(result, indent=1).encode())
            write_atomically(out.with_suffix('.md'), format_ablation(result).encode())
    return result


def format_ablation(result: dict[str, Any]) -> str:
    """Write the table of an ablation as Markdown.

    Args:
        result: As from :func:`run_ablation`.

    Example:
        >>> runs = dict(detail={'0': 40.0, '1': 42.0}, sum={'0': 45.0, '1': 44.0})
        >>> print(format_ablation(dict(settings=dict(config='c.py', iters=200), miou=runs)))
        # Ablation at a small equal budget
        <BLANKLINE>
        `c.py`, 200 iterations for each run:
        <BLANKLINE>
            python benchmarks/ablate.py --config c.py --rows detail sum --seeds 0 1 --iters 200
        <BLANKLINE>
        | row | seeds | mIoU, mean | deviation | each |
        |---|---|---|---|---|
        | detail | 0 1 | 41.00 | 1.41 | 40.00 42.00 |
        | sum | 0 1 | 44.50 | 0.71 | 45.00 44.00 |
        <BLANKLINE>
        Every row's mean is at least that of the row before, other branches aside.
        <BLANKLINE>
    """
    runs = {row: result['miou'][row] for row in ROWS if row in result['miou']}
    seeds = sorted({seed for values in runs.values() for seed in values}, key=int)
    iters = result['settings']['iters']
    lines = [
        '# Ablation at a small equal budget', '', f'`{result["settings"]["config"]}`, {iters} iterations for each run:',
        '', f'    python benchmarks/ablate.py --config {result["settings"]["config"]} --rows {" ".join(runs)} '
        f'--seeds {" ".join(seeds)} --iters {iters}', '',
        '| row | seeds | mIoU, mean | deviation | each |', '|---|---|---|---|---|'
    ]
    means = {}
    for row, values in runs.items():
        means[row] = statistics.mean(values.values())
        deviation = f'{statistics.stdev(values.values()):.2f}' if len(values) > 1 else '-'
        each = ' '.join(f'{v:.2f}' for v in values.values())
        lines.append(f'| {row} | {" ".join(values)} | {means[row]:.2f} | {deviation} | {each} |')
    names = [row for row in means if row not in BRANCHES]
    wrong = [f'{b} is below {a}' for a, b in zip(names, names[1:]) if means[b] < means[a]]
    if len(names) < 2:
        return '\n'.join([*lines, ''])
    lines += ['', f'The order of the paper does not come out: {", ".join(wrong)}.' if wrong else
              "Every row's mean is at least that of the row before, other branches aside.", '']
    return '\n'.join(lines)
