"""Memory stays with the process when it is told to, and goes when it is told to."""

import platform
import subprocess
import sys

import pytest

from bisenet_plugins.runtime import memory

GLIBC = platform.libc_ver()[0] == 'glibc'
COUNT = """
import resource, torch
from bisenet_plugins.runtime.memory import keep_memory, release_memory

def faults():
    a = torch.ones(3, 1 << 24)  # 192 MiB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        b = a + 1
        c = b + 1
        del b, c
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
assert keep_memory()
faults()
kept = faults()
assert release_memory()
print(first, kept, faults())
"""


@pytest.mark.skipif(not GLIBC, reason='mallopt is of glibc')
def test_large_maps_are_not_cleared_again():
    out = subprocess.run([sys.executable, '-W', 'ignore', '-c', COUNT], capture_output=True, text=True, check=True)
    first, kept, released = map(int, out.stdout.split()[-3:])
    assert 2 * kept < first and 1.5 * kept < released, out.stdout


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory.sys, 'platform', 'win32')
    assert memory.keep_memory() is False and memory.release_memory() is False
