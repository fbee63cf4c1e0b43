"""The pages of the model zoo: what every config costs, and what it reached where a log shows it.

Written are, in each folder of ``configs/``, the table in ``README.md`` between two marks and ``metafile.yml``, and
``model-index.yml`` at the top.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from bisenet_plugins.cli.complexity import Complexity, build_uncounted, measure

__all__ = ['COLLECTIONS', 'Collection', 'ZooEntry', 'best_metric', 'read_entries', 'write_zoo', 'zoo_configs']

BEGIN, END = '<!-- model zoo -->', '<!-- end of model zoo -->'
LOGS = Path('benchmarks', 'results', 'logs.json')
DATASETS = dict(
    cityscapes='Cityscapes', camvid='CamVid', ade20k='ADE20K', **{
        'coco-stuff10k': 'COCO-Stuff 10k',
        'coco-stuff164k': 'COCO-Stuff 164k',
        'street-scenes': 'drawn street scenes'
    })


@dataclass(frozen=True)
class Collection:
    """One folder of configs as a collection of the model index.

    Args:
        name: Name of the method.
        title: Title of its paper.
        url: Where the paper is.
        architecture: Its parts.
    """

    name: str
    title: str
    url: str
    architecture: tuple[str, ...]


V1 = 'BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation'
V2 = 'BiSeNet V2: Bilateral Network with Guided Aggregation for Real-time Semantic Segmentation'
STDC = 'Rethinking BiSeNet For Real-time Semantic Segmentation'
V2_URL = 'https://arxiv.org/abs/2004.02147'
COLLECTIONS = dict(
    bisenetv1=Collection('BiSeNetV1', V1, 'https://arxiv.org/abs/1808.00897',
                         ('SpatialPath', 'ContextPath', 'FeatureFusion')),
    bisenetv2=Collection('BiSeNetV2', V2, V2_URL, ('DetailBranch', 'SemanticBranch', 'BilateralGuidedAggregation')),
    stdc=Collection('STDC', STDC, 'https://arxiv.org/abs/2104.13188', ('STDCBackbone', 'ContextPath', 'FeatureFusion')),
    ablations=Collection('BiSeNetV2-Ablations', V2, V2_URL,
                         ('DetailBranch', 'SemanticBranch', 'BilateralGuidedAggregation')),
    baselines=Collection('Baselines', V2, V2_URL, ('BiSeNetV2 of mmseg', )))


@dataclass(frozen=True)
class ZooEntry:
    """One config of the zoo.

    Args:
        config: The file, relative to the repository.
        dataset: Name of its data set.
        size: Height and width that the network works on in training.
        batch: Images in one step, over all GPUs.
        iterations: Steps of training.
        cost: What it costs at that size; ``None`` where a package that it needs is missing.
        log: File in the repository that shows the metric; ``None``: not run.
        miou: Best mIoU in that file, in percent.
    """

    config: Path
    dataset: str
    size: tuple[int, int]
    batch: int
    iterations: int
    cost: Complexity | None
    log: Path | None
    miou: float | None


def zoo_configs(root: str | Path) -> list[Path]:
    """List the configs of all collections, relative to the repository.

    Args:
        root: The repository.
    """
    return [path.relative_to(root) for name in COLLECTIONS for path in sorted(Path(root, 'configs', name).glob('*.py'))]


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
        raise ValueError(f'log must hold {key}, but {log} does not')
    return round(max(values), 2)


def read_entries(root: str | Path, folder: str) -> list[ZooEntry]:
    """Gather what the zoo says of one folder's configs.

    Args:
        root: The repository; its ``benchmarks/results/logs.json`` maps a config to the log of its run.
        folder: One of :data:`COLLECTIONS`.
    """
    root = Path(root)
    logs = json.loads((root / LOGS).read_text(encoding='utf-8')) if (root / LOGS).is_file() else {}
    entries = []
    for path in (p for p in zoo_configs(root) if p.parent.name == folder):
        cfg = Config.fromfile(root / path)
        size = tuple(cfg.model.data_preprocessor.size)
        gpus, batch = map(int, re.findall(r'_(\d+)xb(\d+)', path.stem)[0])
        try:
            cost = measure(build_uncounted(cfg), size)
        except (KeyError, ImportError):  # a backbone of a package that is not installed
            cost = None
        log = Path(logs[path.as_posix()]) if path.as_posix() in logs else None
        dataset = re.sub(r'-\d+x\d+$', '', path.stem.rsplit('_', 1)[1])
        entries.append(
            ZooEntry(path, DATASETS[dataset], size, gpus * batch, cfg.train_cfg.max_iters, cost, log,
                     best_metric(root / log) if log else None))
    return entries


def _table(entries: list[ZooEntry], depth: str = '../../') -> str:
    lines = ['| config | data set | trained at | batch x iterations | parameters | GMACs | mIoU | log |',
             '|---|---|---|---|---|---|---|---|']
    for e in entries:
        lines.append('| ' + ' | '.join([
            f'[{e.config.stem}]({e.config.name})', e.dataset, f'{e.size[0]} x {e.size[1]}',
            f'{e.batch} x {e.iterations}',
            f'{e.cost.deploy_params / 1e6:.2f} M' if e.cost else '-', f'{e.cost.macs / 1e9:.2f}' if e.cost else '-',
            'not run' if e.miou is None else f'{e.miou:.2f}', f'[log]({depth}{e.log.as_posix()})' if e.log else '-'
        ]) + ' |')
    return '\n'.join(lines)


def _metafile(folder: str, entries: list[ZooEntry]) -> dict[str, Any]:
    about = COLLECTIONS[folder]
    models = []
    for e in entries:
        metadata: dict[str, Any] = {'Training Data': e.dataset, 'Batch Size': e.batch, 'Iterations': e.iterations}
        if e.cost:
            metadata |= {'Parameters': e.cost.deploy_params, 'FLOPs': e.cost.macs}
        models.append({
            'Name': e.config.stem,
            'In Collection': about.name,
            'Config': e.config.as_posix(),
            'Metadata': metadata,
            'Results': [{'Task': 'Semantic Segmentation', 'Dataset': e.dataset,
                         'Metrics': {'mIoU': 'not run' if e.miou is None else e.miou}}],
            **({'Training Log': e.log.as_posix()} if e.log else {}),
        })
    collection = {
        'Name': about.name,
        'License': 'Apache License 2.0',
        'Metadata': {'Architecture': list(about.architecture),
                     'Training Data': sorted({e.dataset for e in entries})},
        'Paper': {'Title': about.title, 'URL': about.url},
        'README': f'configs/{folder}/README.md',
    }
    return {'Collections': [collection], 'Models': models}


def write_zoo(root: str | Path) -> None:
    """Write every page of the zoo.

    Args:
        root: The repository. Text of a ``README.md`` outside the two marks stays.

    Raises:
        ValueError: If a ``README.md`` lacks the marks.
    """
    root = Path(root)
    for folder in COLLECTIONS:
        entries = read_entries(root, folder)
        readme = root / 'configs' / folder / 'README.md'
        text = readme.read_text(encoding='utf-8')
        if BEGIN not in text or END not in text:
            raise ValueError(f'{readme} must hold the marks {BEGIN} and {END}')
        head, tail = text[:text.index(BEGIN)], text[text.index(END):]
        readme.write_text(f'{head}{BEGIN}\n{_table(entries)}\n{tail}', encoding='utf-8')
        page = yaml.safe_dump(_metafile(folder, entries), sort_keys=False, width=120)
        (readme.parent / 'metafile.yml').write_text(page, encoding='utf-8')
    index = {'Import': [f'configs/{folder}/metafile.yml' for folder in COLLECTIONS]}
    (root / 'model-index.yml').write_text(yaml.safe_dump(index, sort_keys=False), encoding='utf-8')
