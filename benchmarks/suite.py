"""Run the benchmarks whose figures the docs quote, one after the other: ``python -m benchmarks.suite``.

Each is a command of its own, printed by ``--list``, and writes ``benchmarks/results/NAME.json``. Run them on a machine
that does nothing else.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence

import torch

from bisenet_plugins.weights.store import pretrained_names

__all__ = ['commands', 'main']

THEIRS = 'work_dirs/theirs/iter_150.pth'
"""mmseg's BiSeNetV2 after a short training, since masks of random weights are noise, which takes longer to compute:
``bisenet train configs/baselines/mmseg-bisenetv2_fcn-1024_1xb8-cpu-1.5k_camvid-192x256.py --work-dir work_dirs/theirs
--cfg-options train_cfg.max_iters=150 train_cfg.val_interval=150 param_scheduler.0.end=20 param_scheduler.1.begin=20
param_scheduler.1.end=150``."""
SIZES = {'256x512': '256 512', '360x480': '360 480', '512x1024': '512 1024'}


def commands() -> dict[str, str]:
    """Return the command lines by the name of their result, the most telling first."""
    name = pretrained_names()[0]
    camvid = '--images data/camvid/val --labels data/camvid/valannot'
    found = {
        'cold_start': 'cold_start --rounds 5',
        'speed_360x480': f'speed mmseg:{name} torch:{name} onnxruntime:{name} openvino:{name} --image-size 360 480 '
                         f'{camvid} --rounds 30 --seconds 60',
        'speed_360x480_int8': f'speed mmseg:{name} auto:{name} auto-int8:{name} --image-size 360 480 {camvid} '
                              '--rounds 30 --seconds 60',
        'speed_2048x1024': f'speed mmseg:bisenetv2,{THEIRS} torch:bisenetv2,{THEIRS} torch:bisenetv2-128,{THEIRS} '
                           f'auto:bisenetv2-128,{THEIRS} auto-int8:bisenetv2-128,{THEIRS} '
                           '--size 512 1024 --image-size 1024 2048 --images data/camvid/val --rounds 10 --seconds 60',
        'throughput': f'throughput {name} --images data/camvid/val --count 64 --rounds 9',
        'matmul': f'matmul torch:{name} onnxruntime:{name} openvino:{name} --size 360 480 --rounds 20',
        'matmul_512x1024': 'matmul torch:bisenetv2-128 onnxruntime:bisenetv2-128 openvino:bisenetv2-128 '
                           '--size 512 1024 --rounds 20',
        'growth': f'growth --pretrained {name} --rounds 5',
        'mask': 'mask --rounds 20',
        'data': 'data_loading --rounds 72',
        'robustness': 'robustness',
        'formats': f'formats {" ".join(pretrained_names())} --images configs/_base_/datasets/camvid_360x480.py '
                   '--calibration data/camvid/train --count 25 --rounds 20',
    }
    supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    bfloat16 = ' "ours, bfloat16" "ours, bfloat16, norms recomputed"' if supported else ''
    for size, crop in SIZES.items():
        for batch in (4, 8):
            found[f'train_step_{size}_{batch}'] = (
                f'train_step --batch {batch} --crop {crop} --rounds 2 --steps 2 --series mmseg ours '
                f'"ours, norms recomputed"{bfloat16}')
    found['train_processes'] = 'train_step --processes 2 --batch 4 --crop 256 512 --rounds 2 --steps 3'
    return {result: f'python -m benchmarks.{line} --out benchmarks/results/{result}.json'
            for result, line in found.items()}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description='Run the benchmarks whose figures the docs quote.')
    parser.add_argument('names', nargs='*', metavar='NAME', help='results to make (default: all)')
    parser.add_argument('--list', action='store_true', help='only print the command lines')
    args = parser.parse_args(argv)
    known = commands()
    if unknown := set(args.names) - set(known):
        parser.error(f'expected names out of {", ".join(known)}, got {", ".join(sorted(unknown))}')
    failed = []
    for name in args.names or known:
        print(known[name], flush=True)
        if not args.list and subprocess.run([sys.executable, *shlex.split(known[name])[1:]], check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f'error: failed: {", ".join(failed)}')


if __name__ == '__main__':
    main()
