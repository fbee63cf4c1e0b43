"""What takes too long for a test, as figures: ``python -m faults.endurance --out FILE [--only NAME ...] [--short]``.

``kills``: 20 SIGKILLs and 10 SIGTERMs at random moments of a training; every resumed run must equal one left alone.
``disk``: trainings and predictions on disks that fill at ten places. ``growth``: memory over 10,000 predictions of each
backend. ``threads``: masks of 8 threads that share a predictor, for every backend. ``network``: attempts to reach
another machine in predict, train, test and export. The exit status is 1 if one of them is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BISENET = [sys.executable, '-W', 'ignore', '-m', 'bisenet_cli']
SPY = '''
import os, socket, sys
def deny(name):
    def call(*args, **kwargs):
        with open(os.environ["SPIED"], "a") as file:
            file.write(f"{name} {args[-1] if args else kwargs}\\n")
        raise OSError("no network in this trial")
    return call
real = socket.socket.connect
def connect(self, address):
    return real(self, address) if self.family == socket.AF_UNIX else deny("connect")(address)
socket.socket.connect, socket.getaddrinfo = connect, deny("getaddrinfo")
from bisenet_cli import main
sys.exit(main())
'''


def write_config(folder: Path, iterations: int) -> Path:
    """Write the tests' tiny config, with a checkpoint every third iteration."""
    from tests.conftest import CONFIG

    text = CONFIG.format(base=str(ROOT / 'configs' / '_base_' / 'default_runtime.py'))
    path = folder / 'c.py'
    path.write_text(f'{text}\ntrain_cfg.update(max_iters={iterations}, val_interval=7)\n'
                    "default_hooks['checkpoint'].update(interval=3)\n")
    return path


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, 'PYTHONPATH': str(ROOT), 'CUDA_VISIBLE_DEVICES': '-1', **more}


def start(words: list[str], folder: Path, **more: str) -> subprocess.Popen:
    log = (folder / 'log.txt').open('ab')
    return subprocess.Popen([*BISENET, *words], cwd=folder, env=environment(**more), stdout=log, stderr=log)


def kills(short: bool) -> dict:
    """Kill trainings at random moments, resume them to the end, and compare."""
    import torch

    numbers, iterations = (dict(SIGKILL=2, SIGTERM=1), 12) if short else (dict(SIGKILL=20, SIGTERM=10), 24)
    folder = Path(tempfile.mkdtemp())
    write_config(folder, iterations)
    begin = time.monotonic()
    assert start(['train', 'c.py', '--work-dir', 'straight'], folder).wait() == 0
    whole = time.monotonic() - begin
    expected = torch.load(folder / 'straight' / f'iter_{iterations}.pth', weights_only=False)
    rows = []
    for name, count in numbers.items():
        for number in range(count):
            words = ['train', 'c.py', '--work-dir', f'{name}{number}', '--resume']
            process = start(words, folder)
            time.sleep(random.uniform(0.3, 0.8) * whole)
            process.send_signal(getattr(signal, name))
            status = process.wait()
            again = start(words, folder).wait()
            found = torch.load(folder / words[3] / f'iter_{iterations}.pth', weights_only=False)
            equal = all(torch.equal(value, found['state_dict'][key]) for key, value in expected['state_dict'].items())
            rows.append(dict(signal=name, status=status, resumed=again, equal=equal))
    return dict(rows=rows, right=all(row['equal'] and row['resumed'] == 0 for row in rows))


def disk(short: bool) -> dict:
    """Fill a disk at ten places of a training and of a prediction; needs the right to mount."""
    from .judge import Runner

    folder = Path(tempfile.mkdtemp()) / 'case'
    folder.mkdir()
    write_config(folder, 4)
    runner, rows = Runner(), []
    for size in [4_096, 300_000] if short else [4_096 * 2**step for step in range(10)]:
        status, _, err = runner(('train', 'c.py', '--work-dir', 'disk'), folder, 200, disk=size)
        rows.append(dict(bytes=size, status=status, told=err.strip().splitlines()[-1:]))
    runner.close()
    return dict(rows=rows, right=all(row['status'] == 0 or row['told'] and 'space' in row['told'][0] for row in rows))


def growth(short: bool) -> dict:
    """Measure the memory that predictions of images of eight sizes add: with each backend, and with the default."""
    import numpy as np

    from bisenet_plugins import Predictor, load_pretrained, pretrained_names

    config = write_config(Path(tempfile.mkdtemp()), 2)
    images = [np.random.default_rng(seed).integers(0, 256, (48 + 8 * seed, 64 + 9 * seed, 3), dtype=np.uint8)
              for seed in range(8)]

    def resident() -> float:
        pages = int(Path('/proc/self/statm').read_text().split()[1])
        return pages * resource.getpagesize() / 1e6

    rows = {}
    for name in ('torch', 'openvino', 'onnxruntime', 'default network'):
        default = name == 'default network'
        predictor = load_pretrained(pretrained_names()[0]) if default else Predictor(str(config), backend=name)
        count = (1000 if default else 10_000) // (50 if short else 1)
        for number in range(count // 10 + 8):
            predictor(images[number % 8])
        before = resident()
        for number in range(count):
            predictor(images[number % 8])
        rows[name] = dict(predictions=count, grown_mb=round(resident() - before, 1))
    return dict(rows=rows, right=all(row['grown_mb'] < 20 for row in rows.values()))


def threads(short: bool) -> dict:
    """Let 8 threads share a predictor, and count the masks that differ from those of one."""
    import numpy as np

    from bisenet_plugins import load_pretrained, pretrained_names

    images = [np.random.default_rng(seed).integers(0, 256, (120, 160, 3), dtype=np.uint8) for seed in range(16)]
    rows = {}
    for backend in ('torch', 'openvino', 'onnxruntime', 'auto'):
        predictor = load_pretrained(pretrained_names()[0], backend=backend)
        expected = [predictor(image) for image in images]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(predictor, images * (1 if short else 16)))
        rows[backend] = sum(not np.array_equal(mask, expected[number % 16]) for number, mask in enumerate(found))
    return dict(masks_that_differ=rows, right=not any(rows.values()))


def network(short: bool) -> dict:
    """Count the attempts to reach another machine."""
    folder = Path(tempfile.mkdtemp())
    write_config(folder, 2)
    import cv2
    import numpy as np

    cv2.imwrite(str(folder / 'a.png'), np.zeros((48, 64, 3), np.uint8))
    weights = ['--config', 'c.py', '--checkpoint', 'run/iter_2.pth']
    commands = [['train', 'c.py', '--work-dir', 'run'], ['test', 'c.py', 'run/iter_2.pth'],
                *(['predict', 'a.png', *weights, '--backend', backend]
                  for backend in ('torch', 'openvino', 'onnxruntime')),
                *(['export', 'c.py', 'run/iter_2.pth', '--out', f'out-{form}', '--format', form]
                  for form in ('onnx', 'openvino'))]
    rows = {}
    for words in commands:
        spied = folder / 'spied.txt'
        spied.write_text('')
        done = subprocess.run([sys.executable, '-W', 'ignore', '-c', SPY, *words], cwd=folder, capture_output=True,
                              env=environment(SPIED=str(spied)), check=False)
        rows[' '.join(words)] = dict(status=done.returncode, attempts=spied.read_text().splitlines())
    return dict(rows=rows, right=not any(row['attempts'] or row['status'] for row in rows.values()))


TRIALS = dict(kills=kills, disk=disk, growth=growth, threads=threads, network=network)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', default='endurance.json', help='file for the figures')
    parser.add_argument('--only', nargs='+', choices=TRIALS, default=[*TRIALS])
    parser.add_argument('--short', action='store_true', help='a few rounds of each, to see that they run')
    args = parser.parse_args()
    figures = {}
    for name in args.only:
        begin = time.monotonic()
        figures[name] = {**TRIALS[name](args.short), 'minutes': round((time.monotonic() - begin) / 60, 2)}
        print(name, json.dumps(figures[name]), flush=True)
        Path(args.out).write_text(json.dumps(figures, indent=2) + '\n')
    return int(not all(one['right'] for one in figures.values()))


if __name__ == '__main__':
    sys.exit(main())
