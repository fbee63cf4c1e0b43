"""A run of two processes, one of which is killed at a random iteration, ends, and resumed equals one left alone."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bisenet_plugins.engine import read_history
from bisenet_plugins.files import is_running
from bisenet_plugins.weights import load_checkpoint

ROOT = Path(__file__).resolve().parents[2]


def launch(config: Path, work_dir: Path, *options: str) -> subprocess.Popen:
    """Start two gloo processes on the CPU."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', f'--master_port={port}',
               str(ROOT / 'tools' / 'train.py'), str(config), '--work-dir', str(work_dir), '--launcher', 'pytorch']
    environment = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='-1')
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=environment)


def finish(process: subprocess.Popen) -> str:
    """Wait for success and hand back what was printed."""
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def logs(work_dir: Path) -> list[Path]:
    """Return the scalars of each start, oldest first."""
    return sorted(work_dir.glob('*/vis_data/scalars.json'))


def family_of(parent: int) -> list[int]:
    """Return a process and all it has started; torchrun's workers have sessions of their own."""
    parents = {}
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(')')[2].split()[1])
        except OSError:
            continue
    family = [parent]
    for pid in family:
        family.extend(child for child, above in parents.items() if above == pid)
    return family


def kill(processes: list[int]) -> None:
    """Kill processes, those that are gone excepted."""
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def rank_of(pid: int) -> str:
    """Return the rank that torchrun gave to a process, or nothing."""
    entries = Path(f'/proc/{pid}/environ').read_bytes().decode().split('\0')
    return next((entry for entry in entries if entry.startswith('RANK=')), '')


def last_step(work_dir: Path) -> int:
    """Return the last training step in the log."""
    steps = [step for path in logs(work_dir) for step, row in read_history([(path, 0)]).items() if 'loss' in row]
    return max(steps, default=0)


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/stat').is_file(), reason='finds the processes to kill in /proc')
def test_a_killed_run_resumes_with_the_same_loss_curve(tiny_config, tmp_path):
    straight, killed = tmp_path / 'straight', tmp_path / 'killed'
    finish(launch(tiny_config, straight))
    wanted = read_history([(path, 0) for path in logs(straight)])
    assert [step for step, row in wanted.items() if 'loss' in row] == list(range(1, 13))

    moment, rank = random.Random().randrange(3, 10), random.Random().randrange(2)
    print(f'the kill of process {rank} comes after iteration {moment}')
    process = launch(tiny_config, killed)
    family = []
    try:
        while last_step(killed) < moment and process.poll() is None:
            time.sleep(0.02)
        family = family_of(process.pid)
        kill(family_of(next(pid for pid in family if rank_of(pid) == f'RANK={rank}')))  # as when memory runs out
        output, _ = process.communicate(timeout=60)
    finally:
        kill(family_of(process.pid))
    patience = time.monotonic() + 10  # a data worker looks for its parent every few seconds
    while (left := [pid for pid in family if is_running(pid)]) and time.monotonic() < patience:
        time.sleep(0.1)
    assert process.returncode == 1 and not left, output
    told = [line for line in output.splitlines() if line.startswith('error: ')]
    assert told == ['error: another process of this training is gone; run the same command with --resume to go on '
                    'from the last checkpoint'], output
    stopped = last_step(killed)
    assert stopped < 12, output
    assert not (killed / 'iter_12.pth').exists()

    output = finish(launch(tiny_config, killed, '--resume'))
    assert len(logs(killed)) == 2, output
    noted = load_checkpoint(killed / 'iter_12.pth')['message_hub']['runtime_info']['curves_logs']
    assert len(noted) == 2 and 2 <= noted[1][1] <= stopped, (stopped, noted)
    got = read_history([(killed / name / 'vis_data' / 'scalars.json', begin) for name, begin in noted])
    assert got.keys() == wanted.keys()
    for step, row in wanted.items():
        for name in ('loss', 'decode.acc_seg', 'lr', 'mIoU', 'aAcc'):
            if step == noted[1][1] and name in ('mIoU', 'aAcc') and name not in got[step]:
                continue  # killed between a checkpoint and its validation, which a resumed run does not make up for
            assert (name in row) == (name in got[step]), (step, name)
            if name in row:
                torch.testing.assert_close(got[step][name], row[name], rtol=1e-5, atol=1e-6, msg=f'{name} at {step}')
    first, second = (load_checkpoint(run / 'iter_12.pth')['state_dict'] for run in (straight, killed))
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-6)
    # The plot of a resumed run shows all of it, validation before the kill included.
    assert (logs(killed)[1].parents[1] / 'curves.png').is_file()
