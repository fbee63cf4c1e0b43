"""Recount the cost columns of the BiSeNet V2 paper: ``python benchmarks/paper_tables.py`` writes docs/paper_tables.md.

Every row is a row of overrides over one config (:data:`benchmarks.variants.ABLATIONS`), which anyone can train.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.paper_data import DETAIL_CHANNELS, HEAD_NOTE, HEADER, READING, SHAPE, TABLES, WIDTH_NOTE, PaperRow  # noqa: E402
from benchmarks.variants import ABLATION_BASE, ABLATIONS, apply_options  # noqa: E402
from bisenet_plugins.models.cost import Complexity, build_uncounted, measure  # noqa: E402

__all__ = ['TABLES', 'CountedRow', 'HeadFit', 'count_table', 'fit_head_width', 'format_table', 'measure_as_papers',
           'write_tables']


@dataclass(frozen=True)
class PaperComplexity(Complexity):
    """The cost of one forward pass, with what the papers count besides.

    Args:
        norm_outputs: Values that batch norms put out.
        relu_outputs: Values that ReLUs put out.
        activations: Values that convolutions put out.
    """

    norm_outputs: int
    relu_outputs: int
    activations: int

    @property
    def paper_flops(self) -> int:
        """Operations as the BiSeNet papers count: a multiply-add is one, a batch-normed value two, a ReLU's one."""
        return self.macs + 2 * self.norm_outputs + self.relu_outputs


def measure_as_papers(model: nn.Module, shape: tuple[int, int]) -> PaperComplexity:
    """Count what one image costs, as the papers do.

    Args:
        model: A network of images; on ``meta`` nothing is computed.
        shape: Height and width of the image.
    """
    kinds: dict[str, Any] = dict(norm_outputs=_NormBase, relu_outputs=(nn.ReLU, nn.ReLU6), activations=_ConvNd)
    counts = dict.fromkeys(kinds, 0)

    def count(key: str) -> Any:
        def add(_: nn.Module, __: Any, output: Tensor) -> None:
            counts[key] += output.numel()

        return add

    hooks = [layer.register_forward_hook(count(key)) for layer in model.modules() for key, kind in kinds.items()
             if isinstance(layer, kind)]
    try:
        return PaperComplexity(**vars(measure(model, shape)), **counts)
    finally:
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True)
class CountedRow:
    """One row, the paper's and ours.

    Args:
        row: The row as the paper has it.
        cost: Our count; ``None`` where a package that the row needs is missing.
        paper_difference: Difference to the table's base row in the paper, in GFLOPs.
        difference: Difference to the table's base row in our count, in GFLOPs.
        head_gflops: Cost of one more channel of the decode head, in GFLOPs.
        head_channels: Channels of our decode head.
    """

    row: PaperRow
    cost: PaperComplexity | None
    paper_difference: float | None
    difference: float | None
    head_gflops: float
    head_channels: int

    @property
    def fitted_channels(self) -> int | None:
        """Width of the decode head with which our total comes closest to the paper's."""
        if self.cost is None or self.row.gflops is None:
            return None
        return self.head_channels + round((self.row.gflops - self.cost.paper_flops / 1e9) / self.head_gflops)

    @property
    def fitted_gflops(self) -> float | None:
        """Our total with that width."""
        if self.cost is None or self.fitted_channels is None:
            return None
        return self.cost.paper_flops / 1e9 + (self.fitted_channels - self.head_channels) * self.head_gflops


@cache
def _count(variant: str, overrides: tuple[tuple[str, Any], ...]) -> tuple[PaperComplexity, float, int]:
    cfg = apply_options(ROOT / 'configs' / ABLATION_BASE, ABLATIONS[variant].options | dict(overrides))
    model: Any = build_uncounted(cfg)
    head, strides = model.decode_head, model.backbone.out_strides
    joins = hasattr(head, 'aggregation')
    conv, stride = (head.conv, strides[0]) if joins else (head.convs[0], strides[-1])
    # One channel more: its 3x3 kernel, its norm and ReLU, its weights in the classifier.
    per_channel = conv.conv.weight[0].numel() + 3 + head.num_classes
    return measure_as_papers(model, SHAPE), SHAPE[0] * SHAPE[1] // stride**2 * per_channel / 1e9, head.channels


def count_table(name: str) -> list[CountedRow]:
    """Recount one table of the paper at 512 x 1024.

    Args:
        name: One of :data:`TABLES`.

    Raises:
        ValueError: If there is no such table.
    """
    if name not in TABLES:
        raise ValueError(f'expected name to be one of {sorted(TABLES)}, got {name!r}')
    table = TABLES[name]
    counted: list[tuple[PaperComplexity | None, float, int]] = []
    for row in table.rows:
        try:
            counted.append(_count(row.variant, tuple(table.overrides.items())))
        except (KeyError, ImportError):  # a backbone of a package that is not installed
            counted.append((None, 0.0, 0))
    base_paper, base_cost = table.rows[table.base].gflops, counted[table.base][0]
    rows = []
    for row, (cost, head_gflops, head_channels) in zip(table.rows, counted):
        known = row.gflops is not None and base_paper is not None
        paper_difference = row.gflops - base_paper if known else None  # type: ignore[operator]
        difference = (cost.paper_flops - base_cost.paper_flops) / 1e9 if cost and base_cost else None
        rows.append(CountedRow(row, cost, paper_difference, difference, head_gflops, head_channels))
    return rows


@dataclass(frozen=True)
class HeadFit:
    """One rule for the decode head's width, fitted to the totals of the paper by least squares.

    Args:
        rule: The rule, with ``C_t`` for the width and ``a`` for alpha.
        residuals: Our total with the unrounded width minus the paper's, in GFLOPs, one for each row.
    """

    rule: str
    residuals: tuple[float, ...]


def fit_head_width(rows: Sequence[CountedRow]) -> list[HeadFit]:
    """Fit rules for the decode head's width to the rows of every alpha.

    Args:
        rows: Rows of Table 5 that differ in alpha only.

    Returns:
        Four rules, fitted by least squares, and :data:`READING`, which is not fitted: 64 or 256 channels, and two 3x3
        convolutions and a 1x1 one of the detail branch's width at stride 8, with norm and ReLU.
    """
    alpha = np.array([row.row.alpha for row in rows])
    slope = np.array([row.head_gflops for row in rows])
    ours = np.array([row.cost.paper_flops / 1e9 - row.head_channels * row.head_gflops for row in rows if row.cost])
    missing = np.array([row.row.gflops for row in rows]) - ours
    one = np.ones_like(alpha)
    fits = []
    for label, terms, skip in (('C_t = {0:.0f}', [one], 0), ('C_t = {0:.0f} a', [alpha], 0),
                               ('C_t = {0:.0f} + {1:.0f} a', [one, alpha], 0),
                               ('C_t = {0:.0f} + {1:.0f} a, without the first row', [one, alpha], 1)):
        design = np.stack([slope * term for term in terms], axis=1)
        solution = np.linalg.lstsq(design[skip:], missing[skip:], rcond=None)[0]
        fits.append(HeadFit(label.format(*solution), tuple(float(r) for r in design @ solution - missing)))
    wide = DETAIL_CHANNELS * alpha
    extra = (19 * wide**2 + 9 * wide) * SHAPE[0] * SHAPE[1] / 64 / 1e9
    reading = slope * np.where(alpha == 1, 64, 256) + extra
    fits.append(HeadFit(READING, tuple(float(r) for r in reading - missing)))
    return fits


def _number(value: float | None, form: str = '.2f') -> str:
    return '-' if value is None else format(value, form)


def format_table(name: str, rows: Sequence[CountedRow]) -> str:
    """Return one recounted table as Markdown.

    Args:
        name: One of :data:`TABLES`.
        rows: As from :func:`count_table`.
    """
    table = TABLES[name]
    lines = [
        f'## {table.title}', '',
        '| row | mIoU, paper | GFLOPs, paper | GFLOPs, ours | to base, paper | to base, ours | off by | parameters |'
        ' activations | C_t that fits |',
        '|---|---|---|---|---|---|---|---|---|---|',
    ]
    for counted in rows:
        row, cost = counted.row, counted.cost
        both = counted.paper_difference is not None and counted.difference is not None
        off = counted.difference - counted.paper_difference if both else None  # type: ignore[operator]
        fitted = counted.fitted_channels
        lines.append('| ' + ' | '.join([
            f'{row.name} (`{row.variant}`)' + ('' if row.sure else ' (?)'),
            _number(row.miou), _number(row.gflops),
            _number(cost.paper_flops / 1e9 if cost else None),
            _number(counted.paper_difference, '+.2f'), _number(counted.difference, '+.2f'), _number(off, '+.2f'),
            f'{cost.deploy_params / 1e6:.2f} M' if cost else '-',
            f'{cost.activations / 1e6:.1f} M' if cost else '-',
            f'{fitted} ({counted.fitted_gflops:.2f})' if fitted is not None and 0 < fitted <= 1024 else '-',
        ]) + ' |')
    if table.note:
        lines += ['', *textwrap.wrap(table.note, 116)]
    if name == '5' and all(row.cost for row in rows):
        lines += ['', *_head_width_text(rows)]
    return '\n'.join(lines)


def _head_width_text(rows: Sequence[CountedRow]) -> list[str]:
    wide = rows[:5]
    lines = [
        *textwrap.wrap(HEAD_NOTE, 116), '',
        '| rule for C_t | ' + ' | '.join(f'alpha {row.row.alpha:g}' for row in wide) + ' |',
        '|---|' + '---|' * len(wide),
    ]
    for fit in fit_head_width(wide):
        lines.append(f'| {fit.rule} | ' + ' | '.join(f'{r:+.2f}' for r in fit.residuals) + ' |')
    return [*lines, '', *WIDTH_NOTE.splitlines()]


def write_tables(path: str | Path) -> None:
    """Recount every table and write them into one Markdown file.

    Args:
        path: The file, as in ``docs/paper_tables.md``.
    """
    parts = [HEADER, *(format_table(name, count_table(name)) + '\n' for name in TABLES)]
    Path(path).write_text('\n'.join(parts), encoding='utf-8')


def main() -> None:
    parser = argparse.ArgumentParser(description="Recount the cost columns of the BiSeNet V2 paper's tables.")
    parser.add_argument('table', nargs='?', choices=sorted(TABLES), help='print this table instead of writing all')
    args = parser.parse_args()
    if args.table:
        print(format_table(args.table, count_table(args.table)))
    else:
        write_tables(ROOT / 'docs' / 'paper_tables.md')


if __name__ == '__main__':
    main()
