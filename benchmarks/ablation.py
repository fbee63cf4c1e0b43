"""Train rows of overrides at a small equal budget: ``python -m benchmarks.ablation --rows sum bga --seeds 0 1 2``.

The rows are those of :mod:`benchmarks.variants`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.variants import ABLATIONS, NETWORKS, apply_options
from bisenet_plugins.engine.launch import load_config, prepare_training, run_training
from bisenet_plugins.files import write_atomically

__all__ = ['ORDER', 'ROWS', 'format_ablation', 'main', 'row_config', 'run_ablation']

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs' / 'bisenetv2' / 'bisenetv2_bga_1xb8-demo-1k_street-scenes-144x192.py'
ROWS = ABLATIONS | NETWORKS['bisenetv2']
ORDER = ('detail-only', 'semantic-only', 'sum', 'concat', 'bga-no-booster', 'bga-no-ohem', 'bga')
"""Rows of Table 2 of the BiSeNet V2 paper, in which each is at least as good as the one before."""


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
        raise ValueError(f'expected row to be one of {sorted(ROWS)}, got {row!r}')
    base = load_config(config, work_dir)
    cfg = apply_options(base, ROWS[row].options)
    if row in ('detail-only', 'semantic-only'):  # the config's own branch and width, not the paper's
        cfg.model.backbone = base.model.backbone[f'{row.partition("-")[0]}_branch']
        cfg.model.decode_head.channels = base.model.decode_head.channels
    warm = max(iters // 10, 1)
    cfg.merge_from_dict(dict(
        randomness=dict(seed=seed), train_cfg=dict(max_iters=iters, val_interval=iters),
        default_hooks=dict(checkpoint=dict(interval=iters), logger=dict(interval=10)),
        experiment_name=f'ablation-{row}-{seed}'))
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, begin=0, end=warm, by_epoch=False),
        dict(type='PolyLR', power=0.9, eta_min=0.0, begin=warm, end=iters, by_epoch=False)
    ]
    return cfg


def run_ablation(config: str | Path, rows: Sequence[str], seeds: Sequence[int], iters: int, out: str | Path,
                 work_dir: str | Path) -> dict[str, Any]:
    """Train every row with every seed, except the runs that the result file has.

    Args:
        config: As for :func:`row_config`.
        rows: Rows.
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
        raise ValueError(f'expected out to be a new file or one of the same settings, got {out} with '
                         f'{result["settings"]}')
    logs = out.with_name(f'{out.stem}-logs')
    logs.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for row in rows:
            if str(seed) in result['miou'].get(row, {}):
                continue
            folder = Path(work_dir) / f'{row}-{seed}'
            shutil.rmtree(folder, ignore_errors=True)  # of an interrupted run
            runner = run_training(prepare_training(row_config(config, row, seed, iters, folder)))
            miou = float(runner.message_hub.get_scalar('val/mIoU').current())
            shutil.copyfile(next(folder.glob('*/vis_data/scalars.json')), logs / f'{row}-{seed}.json')
            result['miou'].setdefault(row, {})[str(seed)] = miou
            write_atomically(out, json.dumps(result, indent=1).encode())
            write_atomically(out.with_suffix('.md'), format_ablation(result).encode())
    return result


def format_ablation(result: dict[str, Any]) -> str:
    """Return the table of an ablation as Markdown.

    Args:
        result: As from :func:`run_ablation`.

    Example:
        >>> runs = {'detail-only': {'0': 40.0, '1': 42.0}, 'sum': {'0': 45.0, '1': 44.0}}
        >>> print(format_ablation(dict(settings=dict(config='c.py', iters=200), miou=runs)))
        # Ablation at a small equal budget
        <BLANKLINE>
        `c.py`, 200 iterations for each run:
        <BLANKLINE>
            python -m benchmarks.ablation --config c.py --rows detail-only sum --seeds 0 1 --iters 200
        <BLANKLINE>
        | row | seeds | mean mIoU in % | standard deviation | each |
        |---|---|---|---|---|
        | detail-only | 0 1 | 41.00 | 1.41 | 40.00 42.00 |
        | sum | 0 1 | 44.50 | 0.71 | 45.00 44.00 |
        <BLANKLINE>
        The rows are in the order of the paper's Table 2.
        <BLANKLINE>
    """
    runs = {row: result['miou'][row] for row in (*ORDER, *ROWS) if row in result['miou']}
    seeds = sorted({seed for values in runs.values() for seed in values}, key=int)
    settings = result['settings']
    lines = [
        '# Ablation at a small equal budget', '',
        f'`{settings["config"]}`, {settings["iters"]} iterations for each run:', '',
        f'    python -m benchmarks.ablation --config {settings["config"]} --rows {" ".join(runs)} '
        f'--seeds {" ".join(seeds)} --iters {settings["iters"]}', '',
        '| row | seeds | mean mIoU in % | standard deviation | each |', '|---|---|---|---|---|'
    ]
    means = {}
    for row, values in runs.items():
        means[row] = statistics.mean(values.values())
        deviation = f'{statistics.stdev(values.values()):.2f}' if len(values) > 1 else '-'
        each = ' '.join(f'{v:.2f}' for v in values.values())
        lines.append(f'| {row} | {" ".join(values)} | {means[row]:.2f} | {deviation} | {each} |')
    names = [row for row in ORDER if row in means]
    wrong = [f'{b} is below {a}' for a, b in zip(names, names[1:]) if means[b] < means[a]]
    if len(names) > 1:
        lines += ['', f'The rows are not in the order of the paper\'s Table 2: {", ".join(wrong)}.' if wrong else
                  "The rows are in the order of the paper's Table 2."]
    return '\n'.join([*lines, ''])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description='Train rows of overrides; runs that are done are not repeated.')
    parser.add_argument('--config', default=CONFIG, help='config to vary (default: the drawn street scenes)')
    parser.add_argument('--rows', nargs='+', choices=list(ROWS), metavar='ROW',
                        default=['detail-only', 'sum', 'bga-no-booster', 'bga-no-ohem'],
                        help='any of %(choices)s (default: %(default)s)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--iters', type=int, default=200, help='iterations of each run (default: %(default)s)')
    parser.add_argument('--out', default='work_dirs/ablation.json', help='result file (default: %(default)s)')
    parser.add_argument('--work-dir', default='work_dirs/ablation', help='folder of the runs (default: %(default)s)')
    args = parser.parse_args(argv)
    try:
        result = run_ablation(args.config, args.rows, args.seeds, args.iters, args.out, args.work_dir)
    except ValueError as error:
        sys.exit(f'error: {error}')
    print(format_ablation(result))


if __name__ == '__main__':
    main()
