"""From a training's checkpoint to a file that ships."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from mmengine.config import Config

from bisenet_plugins.datasets.samples import dataset_samples
from bisenet_plugins.engine.curves_hook import read_history
from bisenet_plugins.files import write_atomically
from bisenet_plugins.metrics import Scores, confusion_matrix, score
from bisenet_plugins.runtime.predictor import Predictor
from bisenet_plugins.runtime.preprocess import READERS, test_pipeline
from bisenet_plugins.weights import store
from bisenet_plugins.weights.checkpoint import load_checkpoint
from tools.model_converters.model_card import CARD_KEYS, log_table, model_card, recipe_of, score_table
from tools.model_converters.shipped_graphs import export_graphs, graph_table

__all__ = ['SIZE_LIMIT', 'Exported', 'export_pretrained', 'inference_config']

SIZE_LIMIT = 12 * 2**20
"""Bytes that a shipped file may have."""

_TRAINING_ONLY = ('auxiliary_head', 'init_cfg', 'pretrained', 'sampler', 'train_cfg')

_PLAIN_LOSS = dict(type='CrossEntropyLoss', avg_non_ignore=True)  # heads want one; this one is silent


@dataclass(frozen=True)
class Exported:
    """What came out of an export.

    Args:
        path: The weights.
        size: Their bytes.
        scores: What the file reaches on the config's validation images; None where that was left out.
        same: Share of pixels, in percent, at which the file and the checkpoint agree.
    """

    path: Path
    size: int
    scores: Scores | None = None
    same: float | None = None


def inference_config(predictor: Predictor) -> dict[str, Any]:
    """Reduce a config to what prediction needs.

    Args:
        predictor: A network with its config.

    Returns:
        A plain dictionary: the model without losses and auxiliary heads, the test pipeline without what reads files,
        names and colours of the classes. It holds no path.
    """
    def plain(node: Any) -> Any:
        if isinstance(node, Mapping):
            return {
                key: dict(_PLAIN_LOSS) if key == 'loss_decode' else plain(value)
                for key, value in node.items()
                if key not in _TRAINING_ONLY
            }
        return type(node)(plain(value) for value in node) if type(node) in (list, tuple) else node

    pipeline = [step for step in test_pipeline(predictor.cfg) if step['type'].rpartition('.')[2] not in READERS]
    meta = dict(classes=list(predictor.classes), palette=predictor.palette[: len(predictor.classes)].tolist())
    return dict(
        default_scope=predictor.cfg.get('default_scope', 'mmseg'),
        model=plain(predictor.cfg.model),
        test_dataloader=dict(dataset=dict(metainfo=meta, pipeline=[plain(step) for step in pipeline])),
    )


def export_pretrained(
    config: str | os.PathLike[str] | Config,
    checkpoint: str | os.PathLike[str],
    name: str,
    card: Mapping[str, str] | None = None,
    log: str | os.PathLike[str] | None = None,
    evaluate: bool = True,
    folder: str | os.PathLike[str] | None = None,
    calibration: str | None = 'train',
) -> Exported:
    """Write a network's inference form, its graphs, its model card and its line in the index.

    Args:
        config: Config of the network.
        checkpoint: Weights of its training.
        name: Name for :func:`bisenet_plugins.load_pretrained`; what has that name already is replaced.
        card: Words of one's own for the model card, by the keys ``CARD_KEYS``.
        log: The training's ``scalars.json``, whose validations go into the card.
        evaluate: Whether to score the file on the config's validation images.
        folder: Where the index lies; None is the package's own folder.
        calibration: Where the images come from that INT8's ranges are measured on; None writes no graphs.

    Raises:
        ValueError: If ``name`` holds other characters than small letters, digits, dots and dashes.
        ValueError: If ``card`` has an unknown key.
        ValueError: If a weight is too large for half precision, or the file would exceed 12 MiB.
        FileNotFoundError: If the log is not there.
        AgreementError: If a graph differs too much from the network.

    Note:
        Weights of convolutions are stored in half precision; vectors (biases, batch norms) keep single precision, which
        costs next to nothing. Batch norms are not folded: a folded file would be no more exact, and this one can be
        trained further.
    """
    if not re.fullmatch(r'[a-z0-9][a-z0-9.-]*', name):
        raise ValueError(f'name: expected lowercase letters, digits, dots and dashes, got {name!r}')
    told = dict(card or {})
    if set(told) - set(CARD_KEYS):
        raise ValueError(f'card: expected some of {list(CARD_KEYS)}, got {sorted(set(told) - set(CARD_KEYS))}')
    if log is not None and not Path(log).is_file():
        raise FileNotFoundError(f'there is no log at {log}')
    trained = Predictor(config, checkpoint, backend='torch')
    text = store.encode_config(inference_config(trained))
    network = Predictor(Config(store.decode_config(text))).model
    state = trained.model.state_dict()
    content = safetensors.torch.save(
        {key: _half(key, state[key]) for key in network.state_dict()}, {store.HEADER_KEY: text})
    if len(content) > SIZE_LIMIT:
        raise ValueError(f'{name} has {len(content) / 2**20:.1f} MiB, at most {SIZE_LIMIT / 2**20:.0f} MiB are shipped')
    entry: dict[str, Any] = dict(
        file=f'{name}.safetensors',
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        card=f'{name}.md',
        mIoU=None,
        config=Path(trained.cfg.filename or '').stem,  # what "bisenet list" and "bisenet config" find it by
    )
    base = Path(folder or store.FOLDER)
    exported = Exported(base / entry['file'], len(content))
    facts = _facts(trained, Path(checkpoint), name, entry, network)
    facts['log'] = log_table(read_history([(log, 0)])) if log is not None else ''
    if evaluate:
        before, after, same, count = _compare(trained, Predictor.from_bytes(content, name, backend='torch'))
        exported = Exported(exported.path, exported.size, after, same)
        entry['mIoU'] = round(after.miou, 2)
        facts['validation'] = (
            f'The shipped file on {count} validation images, at their full size, in one pass, in percent:\n\n'
            f'{score_table(after, trained.classes)}\n\n'
            f'{after.pixels:.2f} % of the labelled pixels are right. The checkpoint in single precision has a mean IoU '
            f'of {before.miou:.2f}; the two agree on {same:.3f} % of all pixels.'
        )
    write_atomically(exported.path, content)
    facts['graphs'] = ''
    if calibration is not None:
        entry['graphs'] = export_graphs(trained.cfg, exported.path, name, base, evaluate, calibration)
        facts['graphs'] = graph_table(entry['graphs'])
    camvid = 'CamVidDataset' in str((trained.cfg.get('train_dataloader') or {}).get('dataset'))  # joined ones included
    write_atomically(base / entry['card'], model_card(name, facts, told, camvid).encode())
    index = dict(networks={**store.read_index(base), name: entry})
    write_atomically(base / 'index.json', (json.dumps(index, indent=2) + '\n').encode())
    return exported


def _half(key: str, value: torch.Tensor) -> torch.Tensor:
    """Store what has more than one axis in half precision."""
    value = value.detach().cpu().contiguous()
    if not value.is_floating_point() or value.ndim < 2:
        return value
    halved = value.half()
    if not torch.isfinite(halved).all():
        raise ValueError(f'{key} reaches {value.abs().max():.3g}, half precision holds finite numbers up to 65504')
    return halved


def _compare(trained: Predictor, shipped: Predictor) -> tuple[Scores, Scores, float, int]:
    """Score checkpoint and file on the validation images, and count where they agree."""
    num_classes = len(trained.classes)
    before = np.zeros((num_classes, num_classes), np.int64)
    after = before.copy()
    equal = total = count = 0
    for sample in dataset_samples(trained.cfg.val_dataloader.dataset):
        first, second = trained(sample.image), shipped(sample.image)
        before += confusion_matrix(first, sample.label, num_classes)
        after += confusion_matrix(second, sample.label, num_classes)
        equal, total, count = equal + int((first == second).sum()), total + first.size, count + 1
    return score(before), score(after), 100.0 * equal / max(total, 1), count


def _facts(
    trained: Predictor, checkpoint: Path, name: str, entry: dict[str, Any], network: torch.nn.Module
) -> dict[str, str]:
    """Gather what the card says of network and training."""
    meta = load_checkpoint(checkpoint).get('meta') or {}
    cfg = trained.cfg
    seed = (cfg.get('randomness') or {}).get('seed', meta.get('seed'))
    parameters = sum(value.numel() for value in network.parameters())
    config = Path(cfg.filename).name if cfg.filename else 'CONFIG'
    step = f'; the weights are those of iteration {meta["iter"]}' if 'iter' in meta else ''
    return dict(
        file=f'`{Path(entry["file"]).name}`, {entry["bytes"]} bytes, SHA-256 `{entry["sha256"]}`. Inference form: no '
        'auxiliary heads, convolutions in half precision, config in the header. The checksum is verified on loading.',
        network=f'`{config}`, {parameters / 1e6:.2f} million parameters.',
        classes=', '.join(trained.classes),
        recipe=f'{recipe_of(cfg)}{step}',
        seeds='not fixed' if seed is None else str(seed),
        validation='Not measured.',
        command=f'python tools/model_converters/export_pretrained.py {config} {checkpoint.name} {name}',
    )
