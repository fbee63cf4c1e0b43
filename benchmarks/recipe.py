"""What each ingredient of the CamVid recipe brings, and mmseg's networks beside ours: ``python -m benchmarks.recipe``.

Every run has the same data, budget and schedule, leaves the drive 0006R0 out and is scored on it. Crops are smaller
than the recipe's, at its scales, so that one run takes minutes on two cores. Runs that are done are not repeated.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.hub import get_config
from mmseg.registry import MODELS

from benchmarks.plots import figure_bytes
from benchmarks.variants import Options, Variant, apply_options
from bisenet_plugins import BilateralSegmentor
from bisenet_plugins.engine.launch import load_config, prepare_training, run_training
from bisenet_plugins.files import write_atomically
from bisenet_plugins.models.cost import build_uncounted, measure
from bisenet_plugins.models.fuse import fused_copy
from bisenet_plugins.timing import interleave, machine, spread

__all__ = ['NETWORKS', 'ROWS', 'main', 'row_config']

ROOT = Path(__file__).resolve().parents[1]
CONFIG = (ROOT / 'configs' / 'bisenetv1'
          / 'bisenetv1_efficientnet-lite0_1xb8-cpu-balanced-ema-heldout-3k_camvid-384x480.py')
TEST_SIZE = (576, 768)
_HEADS = ('decode_head', 'auxiliary_head.context8', 'auxiliary_head.context16')
_TRAIN = 'train_dataloader.dataset.pipeline'
_SCRATCH: Options = {'model.backbone.semantic_branch.backbone.init_cfg': None,
                     'optim_wrapper.paramwise_cfg.custom_keys': {}}

ROWS: dict[str, Variant] = {
    'recipe': Variant('all ingredients', {}),
    'no-imagenet': Variant('the semantic branch from random weights', _SCRATCH),
    'relu6': Variant("ReLU6 in the semantic branch, as in ImageNet's training, not ReLU", {
        'model.backbone.semantic_branch.backbone.act_cfg': dict(type='ReLU6')}),
    'no-paste': Variant('without pasted components of rare classes', {f'{_TRAIN}.0.prob': 0.0}),
    'no-focus': Variant('crops anywhere, not around rare classes', {f'{_TRAIN}.1.focus_prob': 0.0}),
    'small-scales': Variant('scales 0.5 to 2 in place of 0.9 to 2.2', {f'{_TRAIN}.1.ratio_range': (0.5, 2.0)}),
    'no-class-weights': Variant('all classes weigh the same',
                                {f'model.{head}.loss_decode.class_weight': None for head in _HEADS}),
    'no-ohem': Variant('plain cross entropy', {f'model.{head}.loss_decode.type': 'CrossEntropyLoss'
                                               for head in _HEADS}),
    'no-ema': Variant('the last weights, not their average', {'custom_hooks': []}),
    'averaged': Variant('the mean of the three best of eight checkpoints, not the running average', {
        'custom_hooks': []}),
    'lovasz': Variant("Lovasz-Softmax beside the main head's loss", {
        'model.decode_head.loss_decode': [
            dict(type='OhemCrossEntropyLoss'), dict(type='LovaszLoss', reduction='none', loss_weight=0.5)]}),
    'lite2': Variant('EfficientNet-Lite2 in place of Lite0: the teacher of the next row', {
        'model.backbone.semantic_branch.backbone.version': 2,
        'model.backbone.semantic_branch.backbone.init_cfg.checkpoint': 'imagenet://efficientnet-lite2'}),
    'distilled': Variant('it also learns the scores of the network above, trained with the same seed', {
        'model.type': 'DistilledSegmentor'}),
    'one-branch': Variant('no detail branch: the context path alone at stride 8', {
        'model.backbone.detail_branch': None, 'model.decode_head': dict(
            _delete_=True, type='BoosterHead', channels=96, in_index=-2,
            loss_decode=dict(type='OhemCrossEntropyLoss'))}),
}
# mmseg's own networks as its configs build them, from random weights.
NETWORKS: dict[str, str] = {
    'BiSeNetV2 (mmseg)': 'mmseg::bisenetv2/bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024.py',
    'DDRNet-23-slim (mmseg)': 'mmseg::ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py',
    'PIDNet-S (mmseg)': 'mmseg::pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py',
    'Fast-SCNN (mmseg)': 'mmseg::fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py',
}
OURS = {'ours, ImageNet': 'recipe', 'ours, from scratch': 'no-imagenet', 'ours, context path alone': 'one-branch'}


@MODELS.register_module()
class DistilledSegmentor(BilateralSegmentor):
    """A network that also learns another one's scores, by their divergence at every pixel (Hinton et al., 2015).

    Args:
        teacher: Config of a trained segmentor of the same classes.
        weights: Its checkpoint.
        temperature: What both networks' scores are divided by.
        **kwargs: Those of :class:`BilateralSegmentor`.
    """

    def __init__(self, teacher: dict[str, Any], weights: str, temperature: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._given, self._temperature = (teacher, weights), temperature
        self._teacher: list[torch.nn.Module] = []  # a list is no part of what is trained, averaged and saved
        self._scores: torch.Tensor | None = None
        self.decode_head.conv_seg.register_forward_hook(self._keep)

    def _keep(self, module: torch.nn.Module, inputs: Any, scores: torch.Tensor) -> None:
        self._scores = scores

    def loss(self, inputs: torch.Tensor, data_samples: list[Any]) -> dict[str, torch.Tensor]:
        if not self._teacher:
            model = MODELS.build(self._given[0]).eval()
            model.load_state_dict(torch.load(self._given[1], weights_only=True))
            self._teacher.append(model)
        losses, (teacher, ) = super().loss(inputs, data_samples), self._teacher
        with torch.no_grad():
            wanted = teacher.decode_head(teacher.extract_feat(inputs)) / self._temperature
        found = F.log_softmax(self._scores / self._temperature, 1)
        divergence = F.kl_div(found, wanted.log_softmax(1), reduction='none', log_target=True).sum(1).mean()
        self._scores = None
        return losses | {'distill.loss_kl': divergence * self._temperature**2}


def _neighbour(path: str) -> dict[str, Any]:
    """Return the model of one of mmseg's configs for CamVid: its classes, no downloads, one process, one input size."""
    model = get_config(path).model.to_dict()

    def adapt(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [adapt(item) for item in value]
        if not isinstance(value, dict):
            return value
        changed = {key: adapt(item) for key, item in value.items() if key not in ('pretrained', 'init_cfg')}
        if changed.get('type') == 'SyncBN':
            changed['type'] = 'BN'
        if 'num_classes' in changed:
            changed['num_classes'] = 11
        if isinstance(changed.get('class_weight'), list):
            del changed['class_weight']
        return changed

    return adapt(model)


def row_config(row: str, seed: int, iters: int, crop: tuple[int, int], work_dir: str | Path) -> Config:
    """Make the config of one run.

    Args:
        row: One of :data:`ROWS` or :data:`NETWORKS`.
        seed: Seed of weights, order and augmentation.
        iters: Length of the training; a tenth of it warms up.
        crop: Height and width of the crops.
        work_dir: Folder of the run.

    Example:
        >>> cfg = row_config('no-paste', 0, 50, (96, 128), 'work_dirs/a')
        >>> cfg.train_dataloader.dataset.pipeline[0].prob, cfg.train_cfg.max_iters
        (0.0, 50)
    """
    cfg = load_config(CONFIG, work_dir)
    if row in NETWORKS:
        size = dict(data_preprocessor=cfg.model.data_preprocessor.to_dict())
        cfg.model = dict(_neighbour(NETWORKS[row]), **size)
        cfg.merge_from_dict({'optim_wrapper.paramwise_cfg.custom_keys': {}})
        if row.startswith('PIDNet'):  # its border head learns from borders that the pipeline makes
            cfg.train_dataloader.dataset.pipeline.insert(-1, dict(type='GenerateEdge', edge_width=4))
    else:
        cfg = apply_options(cfg, ROWS[row].options)
    if row == 'distilled':
        teacher = row_config('lite2', seed, iters, crop, work_dir).model
        teacher.backbone.semantic_branch.backbone.init_cfg = None
        cfg.model.update(teacher=teacher, weights=str(_teacher(Path(work_dir).parent, seed)))
    warm, every = max(iters // 10, 1), max(iters // 8, 1) if row == 'averaged' else iters
    cfg.merge_from_dict({
        'randomness': dict(seed=seed), 'train_cfg': dict(max_iters=iters, val_interval=every),
        'model.data_preprocessor.size': crop, f'{_TRAIN}.1.crop_size': crop,
        'default_hooks': dict(checkpoint=dict(interval=every, max_keep_ckpts=-1), logger=dict(interval=10)),
        'experiment_name': f'recipe-{row}-{seed}'})
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.05, begin=0, end=warm, by_epoch=False),
        dict(type='PolyLR', power=0.9, eta_min=0.0, begin=warm, end=iters, by_epoch=False)]
    for hook in cfg.custom_hooks:
        hook.update(begin_iter=warm, momentum=0.02)  # an average over as large a share of a shorter run
    return cfg


def _teacher(work_dir: Path, seed: int) -> Path:
    """Return where the row that teaches leaves its weights."""
    return work_dir / f'lite2-{seed}.pth'


def run(rows: Sequence[str], seeds: Sequence[int], iters: int, crop: tuple[int, int], out: Path,
        work_dir: Path) -> dict[str, Any]:
    """Train every row with every seed, except the runs that the result file has.

    Raises:
        ValueError: If the result file is of other settings.
    """
    settings = dict(config=CONFIG.name, iters=iters, batch=8, crop=list(crop), held_out='0006R0',
                    test_size=list(TEST_SIZE))
    result: dict[str, Any] = json.loads(out.read_text('utf-8')) if out.is_file() else dict(
        settings=settings, command=f'python -m benchmarks.recipe --iters {iters} --crop {crop[0]} {crop[1]}',
        machine=machine(), miou={}, iou={})
    if result['settings'] != settings:
        raise ValueError(f'out: expected a new file or one of the same settings, got {out} with {result["settings"]}')
    for seed in seeds:
        for row in rows:
            if str(seed) in result['miou'].get(row, {}):
                continue
            folder = work_dir / f'{row.replace(" ", "-")}-{seed}'
            shutil.rmtree(folder, ignore_errors=True)  # of an interrupted run
            runner = run_training(prepare_training(row_config(row, seed, iters, crop, folder)))
            history = runner.message_hub.get_scalar('val/mIoU')
            miou = history.current()
            if row == 'averaged':
                best = np.argsort(history.data[0])[-3:]
                files = [folder / f'iter_{(number + 1) * (iters // 8)}.pth' for number in best]
                states = [torch.load(file, weights_only=False)['state_dict'] for file in files]
                runner.model.load_state_dict({name: sum(state[name] for state in states) / len(states)
                                              for name in states[0]})
                miou = runner.val_loop.run()['mIoU']
            result['miou'].setdefault(row, {})[str(seed)] = float(miou)
            if row == 'recipe' and 'no-ema' in rows:  # of the same training: an average changes only what is scored
                runner._hooks = [hook for hook in runner._hooks if not isinstance(hook, EMAHook)]
                result['miou'].setdefault('no-ema', {})[str(seed)] = float(runner.val_loop.run()['mIoU'])
            if row == 'lite2':
                torch.save(runner.model.state_dict(), _teacher(work_dir, seed))
            shutil.rmtree(folder, ignore_errors=True)
            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out, json.dumps(result, indent=1).encode())
    return result


@torch.inference_mode()
def time_networks(rounds: int) -> dict[str, dict[str, float]]:
    """Time each network alone in PyTorch at the test size, all in turn, and count its multiply-adds."""
    image = torch.randn(1, 3, *TEST_SIZE).contiguous(memory_format=torch.channels_last)
    calls, costs = {}, {}
    for name in (*NETWORKS, *OURS):
        cfg = row_config(OURS.get(name, name), 0, 10, (96, 128), 'work_dirs/recipe')
        if name in OURS:
            cfg.model.backbone.semantic_branch.backbone.init_cfg = None
        costs[name] = measure(build_uncounted(cfg), TEST_SIZE).macs / 1e9
        model = fused_copy(MODELS.build(cfg.model).eval())
        calls[name] = lambda model=model: model(image, mode='tensor')
    times = interleave(calls, rounds=rounds, warmup=2)
    return {name: dict(gmacs=round(costs[name], 3), **spread(times[name])) for name in calls}


def table(result: dict[str, Any], rows: Sequence[str]) -> list[str]:
    """Return rows of a Markdown table: mean and each seed, and the difference to the first row."""
    lines, first = [], None
    for row in rows:
        values = list(result['miou'].get(row, {}).values())
        if not values:
            continue
        mean = statistics.mean(values)
        first = mean if first is None else first
        what = ROWS[row].what if row in ROWS else 'from random weights, same data, budget and schedule'
        lines.append(f'| {row} | {what} | {mean:.2f} | {mean - first:+.2f} | '
                     f'{" ".join(f"{value:.2f}" for value in values)} |')
    return ['| row | what differs | mIoU, mean | difference | each seed |', '|---|---|---|---|---|', *lines]


def plot(result: dict[str, Any], out: Path) -> None:
    """Draw mIoU on the held-out drive against milliseconds; each point says its name and its multiply-adds."""
    figure = Figure(figsize=(8, 4.5), dpi=100, layout='constrained')
    axis = figure.subplots()
    found = {name: (cost, list(result['miou'].get(OURS.get(name, name), {}).values()))
             for name, cost in result['cost'].items()}
    found = {name: point for name, point in found.items() if point[1]}
    span = max((cost['median'] for cost, _ in found.values()), default=1.0)
    top = max((max(values) for _, values in found.values()), default=1.0)
    for name, (cost, values) in found.items():
        x, y = cost['median'], statistics.mean(values)
        axis.errorbar(x, y, fmt='o', color='#d62728' if name in OURS else '#1f77b4', capsize=3,
                      yerr=[[y - min(values)], [max(values) - y]])
        below = any(abs(x - other['median']) < span / 3 and 0 < statistics.mean(theirs) - y < 0.15 * top
                    for other, theirs in found.values())
        axis.annotate(f'{name}, {cost["gmacs"]:.1f} GMACs', (x, min(values) if below else max(values)), fontsize=8,
                      xytext=(0, -13 if below else 6), textcoords='offset points',
                      ha='left' if x < span / 5 else 'right' if x > span * 4 / 5 else 'center')
    axis.set_xlabel(f'milliseconds for {TEST_SIZE[0]} x {TEST_SIZE[1]}, PyTorch, CPU (left is better)')
    axis.set_ylabel('mIoU on the held-out drive in %')
    axis.grid(alpha=0.3)
    axis.set(xlim=(0, None), ylim=(0, 1.12 * top))
    write_atomically(out, figure_bytes(figure))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--rows', nargs='*', choices=[*ROWS, *NETWORKS], metavar='ROW', default=[*ROWS, *NETWORKS],
                        help='any of %(choices)s (default: all)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1])
    parser.add_argument('--iters', type=int, default=100, help='iterations of each run (default: %(default)s)')
    parser.add_argument('--crop', nargs=2, type=int, default=(192, 256), metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('--time', type=int, metavar='ROUNDS', help='time the networks too')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/recipe.json'))
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/recipe'))
    args = parser.parse_args(argv)
    result = run(args.rows, args.seeds, args.iters, tuple(args.crop), args.out, args.work_dir)
    if args.time:
        result['cost'] = time_networks(args.time)
        write_atomically(args.out, json.dumps(result, indent=1).encode())
    settings = result['settings']
    lines = ['# The CamVid recipe, ingredient by ingredient', '',
             f'mIoU in % on drive {settings["held_out"]}, which is held out of the training; {settings["iters"]} '
             f'iterations of 8 crops of {settings["crop"][0]} x {settings["crop"][1]}, scored at '
             f'{TEST_SIZE[0]} x {TEST_SIZE[1]}.', '', f'    {result["command"]}', '', *table(result, list(ROWS)), '',
             '## Beside mmseg\'s networks', '', *table(result, ['recipe', 'no-imagenet', *NETWORKS]), '']
    if 'cost' in result:
        plot(result, args.out.with_suffix('.png'))
        lines += ['| network | GMACs | ms, median |', '|---|---|---|',
                  *(f'| {name} | {row["gmacs"]:.2f} | {row["median"]:.1f} |' for name, row in result['cost'].items()),
                  '', f'![mIoU against milliseconds]({args.out.stem}.png)', '']
    write_atomically(args.out.with_suffix('.md'), '\n'.join(lines).encode())
    print('\n'.join(lines))


if __name__ == '__main__':
    main()
