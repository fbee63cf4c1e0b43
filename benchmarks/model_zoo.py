"""Write the pages of the model zoo: ``python benchmarks/model_zoo.py``.

Its pages are, in each folder of ``configs/``, the part of ``README.md`` between two marks and ``metafile.yml``, the
rows of the ablations in ``configs/bisenetv2/ablations.md``, and ``model-index.yml`` at the top. A config counts as run
where ``benchmarks/results/logs.json`` names the log of its run.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.variants import ABLATION_BASE, ABLATIONS, NETWORKS, Variant, command_line  # noqa: E402
from bisenet_plugins.models.cost import Complexity, build_uncounted, measure  # noqa: E402

__all__ = ['COLLECTIONS', 'Collection', 'ZooEntry', 'best_metric', 'read_entries', 'render_zoo', 'write_zoo',
           'zoo_configs']

BEGIN, END = '<!-- model zoo -->', '<!-- end of model zoo -->'
LOGS = Path('benchmarks', 'results', 'logs.json')
DATASETS = dict(
    cityscapes='Cityscapes', camvid='CamVid', ade20k='ADE20K', **{
        'coco-stuff10k': 'COCO-Stuff 10k',
        'coco-stuff164k': 'COCO-Stuff 164k',
        'street-scenes': 'synthetic street scenes'
    })
V1 = 'BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation'
V2 = 'BiSeNet V2: Bilateral Network with Guided Aggregation for Real-time Semantic Segmentation'
STDC = 'Rethinking BiSeNet For Real-time Semantic Segmentation'
V2_URL = 'https://arxiv.org/abs/2004.02147'


@dataclass(frozen=True)
class Collection:
    """One folder of configs as a collection of the model index.

    Args:
        name: Name of the method.
        title: Title of its paper.
        url: Address of the paper.
        architecture: Its parts.
    """

    name: str
    title: str
    url: str
    architecture: tuple[str, ...]


COLLECTIONS = dict(
    bisenetv1=Collection('BiSeNetV1', V1, 'https://arxiv.org/abs/1808.00897',
                         ('SpatialPath', 'ContextPath', 'FeatureFusion')),
    bisenetv2=Collection('BiSeNetV2', V2, V2_URL, ('DetailBranch', 'SemanticBranch', 'BilateralGuidedAggregation')),
    stdc=Collection('STDC', STDC, 'https://arxiv.org/abs/2104.13188', ('STDCBackbone', 'ContextPath', 'FeatureFusion')),
    baselines=Collection('Baselines', V2, V2_URL, ('BiSeNetV2 of mmseg', )))


@dataclass(frozen=True)
class ZooEntry:
    """One config of the zoo.

    Args:
        config: The file, relative to the repository.
        dataset: Name of its dataset.
        size: Height and width of the network's input in training.
        gpus: Processes of the training.
        batch: Images per step, over all processes.
        iterations: Steps of training.
        cost: Cost of one image of that size.
        log: File in the repository that shows the metric; ``None``: not run.
        miou: Best mIoU in that file, in percent.
    """

    config: Path
    dataset: str
    size: tuple[int, int]
    gpus: int
    batch: int
    iterations: int
    cost: Complexity
    log: Path | None
    miou: float | None

    @property
    def command(self) -> str:
        """The command that trains it."""
        if self.gpus == 1:
            return f'python tools/train.py {self.config.as_posix()}'
        threads = 'OMP_NUM_THREADS=1 ' if '-cpu-' in self.config.stem else ''
        return (f'{threads}torchrun --nproc_per_node={self.gpus} tools/train.py {self.config.as_posix()} '
                '--launcher pytorch')


def zoo_configs(root: str | Path) -> list[Path]:
    """List the configs of all collections, relative to the repository.

    Args:
        root: The repository.
    """
    folders = [Path(root, 'configs', name) for name in COLLECTIONS]
    return [path.relative_to(root) for folder in folders for path in sorted(folder.rglob('*.py'))]


def best_metric(log: str | Path, key: str = 'mIoU') -> float:
    """Find the best value of a metric in a log of mmengine, to two places (a log of several processes has float32).

    Args:
        log: A ``scalars.json`` of mmengine, one JSON object in a line, or a text log.
        key: Name of the metric.

    Raises:
        ValueError: If the log does not hold the metric.
    """
    text = Path(log).read_text(encoding='utf-8')
    values = [float(v) for v in re.findall(rf'(?<!\w){key}"?: (\d+(?:\.\d+)?)', text)]
    if not values:
        raise ValueError(f'expected log to hold {key}, got {log} without it')
    return round(max(values), 2)


def read_entries(root: str | Path, folder: str) -> list[ZooEntry]:
    """Read the configs of one folder, their cost and their logs.

    Args:
        root: The repository.
        folder: One of :data:`COLLECTIONS`.
    """
    root = Path(root)
    logs = json.loads((root / LOGS).read_text(encoding='utf-8')) if (root / LOGS).is_file() else {}
    costs: dict[str, Complexity] = {}
    entries = []
    for path in (p for p in zoo_configs(root) if p.parts[1] == folder):
        cfg = Config.fromfile(root / path)
        size = tuple(cfg.model.data_preprocessor.size)
        gpus, batch = map(int, re.findall(r'_(\d+)xb(\d+)', path.stem)[0])
        model = repr(cfg.model)
        if model not in costs:
            costs[model] = measure(build_uncounted(cfg), size)
        log = Path(logs[path.as_posix()]) if path.as_posix() in logs else None
        dataset = re.sub(r'-\d+x\d+$', '', path.stem.rsplit('_', 1)[1])
        entries.append(
            ZooEntry(path, DATASETS[dataset], size, gpus, gpus * batch, cfg.train_cfg.max_iters, costs[model], log,
                     best_metric(root / log) if log else None))
    return entries


def _table(folder: str, entries: Iterable[ZooEntry], run: bool) -> list[str]:
    head = ['config', 'dataset', 'crop', 'batch x iterations', 'parameters', 'GMACs'] + ['val mIoU', 'log'] * run
    lines = ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
    for e in entries:
        cells = [
            f'[{e.config.stem}]({e.config.relative_to("configs", folder).as_posix()})', e.dataset,
            f'{e.size[0]} x {e.size[1]}', f'{e.batch} x {e.iterations:,}', f'{e.cost.deploy_params / 1e6:.2f} M',
            f'{e.cost.macs / 1e9:.2f}'
        ]
        if run and e.log:
            cells += [f'{e.miou:.2f}', f'[log](../../{e.log.as_posix()})']
        lines.append('| ' + ' | '.join(cells) + ' |')
    return lines


def _rows(variants: Mapping[str, Variant]) -> list[str]:
    return ['| row | what differs | `--cfg-options` |', '|---|---|---|',
            *(f'| `{name}` | {row.what} | {f"`{command_line(row.options)}`" if row.options else "-"} |'
              for name, row in variants.items())]


def _page(folder: str, entries: list[ZooEntry]) -> str:
    run, rest = [e for e in entries if e.log], [e for e in entries if not e.log]
    lines = []
    if run:
        lines += ['## Trained here', '', *_table(folder, run, True), '',
                  '```bash', *(e.command for e in run), '```', '']
    if rest:
        lines += ['<details>', f'<summary>{len(rest)} recipes that were not run here</summary>', '',
                  *_table(folder, rest, False), '', '</details>', '']
    if folder in NETWORKS:
        lines += ['<details>', '<summary>Other networks with any of these recipes</summary>', '',
                  'Append to `python tools/train.py CONFIG --cfg-options`:', '', *_rows(NETWORKS[folder]), '',
                  '</details>', '']
    lines += ['Parameters and GMACs are those of the deployed network, without auxiliary heads, for one image of the',
              'crop size. An mIoU is given only where a log in this repository shows it. Written by',
              '`python benchmarks/model_zoo.py` between the two marks.', '']
    return '\n'.join(lines)


def _metafile(folder: str, entries: list[ZooEntry]) -> dict[str, Any]:
    about = COLLECTIONS[folder]
    models = [{
        'Name': e.config.stem,
        'In Collection': about.name,
        'Config': e.config.as_posix(),
        'Metadata': {'Training Data': e.dataset, 'Batch Size': e.batch, 'Iterations': e.iterations,
                     'Parameters': e.cost.deploy_params, 'FLOPs': e.cost.macs},
        'Results': [{'Task': 'Semantic Segmentation', 'Dataset': e.dataset,
                     'Metrics': {'mIoU': 'not run' if e.miou is None else e.miou}}],
        **({'Training Log': e.log.as_posix()} if e.log else {}),
    } for e in sorted(entries, key=lambda e: e.log is None)]
    collection = {
        'Name': about.name,
        'License': 'Apache License 2.0',
        'Metadata': {'Architecture': list(about.architecture),
                     'Training Data': sorted({e.dataset for e in entries})},
        'Paper': {'Title': about.title, 'URL': about.url},
        'README': f'configs/{folder}/README.md',
    }
    return {'Collections': [collection], 'Models': models}


def _ablations() -> str:
    return '\n'.join([
        '# Ablations of BiSeNet V2', '', 'Written by `python benchmarks/model_zoo.py`; do not edit.', '',
        "The rows of the paper's tables, as overrides over one config. A row is trained by", '',
        '```bash', f'python tools/train.py configs/{ABLATION_BASE} --cfg-options OPTIONS', '```', '',
        'on one GPU or, as the recipe has it, on four. What each row costs, beside the figures of the paper: '
        '[docs/paper_tables.md](../../docs/paper_tables.md).', 'None of them was trained at this length here; '
        '`python benchmarks/ablation.py` trains some at a small equal budget.', '', *_rows(ABLATIONS), ''])


def render_zoo(root: str | Path) -> dict[Path, str]:
    """Return the text of every page of the zoo.

    Args:
        root: The repository. Text of a ``README.md`` outside the two marks stays.

    Returns:
        The text by file, relative to the repository.

    Raises:
        ValueError: If a ``README.md`` lacks the marks.
    """
    pages = {}
    for folder in COLLECTIONS:
        entries = read_entries(root, folder)
        readme = Path('configs', folder, 'README.md')
        text = Path(root, readme).read_text(encoding='utf-8')
        if BEGIN not in text or END not in text:
            raise ValueError(f'expected {readme} to hold the marks {BEGIN} and {END}, got a page without them')
        head, tail = text[:text.index(BEGIN)], text[text.index(END):]
        pages[readme] = f'{head}{BEGIN}\n{_page(folder, entries)}{tail}'
        pages[readme.with_name('metafile.yml')] = yaml.safe_dump(_metafile(folder, entries), sort_keys=False, width=120)
    pages[Path('configs', 'bisenetv2', 'ablations.md')] = _ablations()
    index = {'Import': [f'configs/{folder}/metafile.yml' for folder in COLLECTIONS]}
    pages[Path('model-index.yml')] = yaml.safe_dump(index, sort_keys=False)
    return pages


def write_zoo(root: str | Path) -> None:
    """Write every page of the zoo.

    Args:
        root: The repository.

    Raises:
        ValueError: If a ``README.md`` lacks the marks.
    """
    for path, text in render_zoo(root).items():
        Path(root, path).write_text(text, encoding='utf-8')


def main() -> None:
    argparse.ArgumentParser(description='Write the pages of the model zoo.').parse_args()
    write_zoo(ROOT)


if __name__ == '__main__':
    main()
