"""Memory that stays with the process between two predictions."""

from __future__ import annotations

import ctypes
import sys

__all__ = ['keep_memory', 'release_memory']

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # numbers of glibc's malloc.h
KEPT = 1 << 30
USUAL = {M_TRIM_THRESHOLD: 64 << 20, M_MMAP_THRESHOLD: 32 << 20, M_MMAP_MAX: 65536}
"""What glibc comes to by itself in a process that has freed large blocks (the upper ends of its dynamic thresholds)."""


def keep_memory() -> bool:
    """Let the C library keep the memory of large maps for the next ones, up to 1 GiB, in the whole process.

    For networks on a CPU. Without it glibc hands every map of more than 32 MiB back to the system, and all of them
    when a prediction ends, so that each prediction waits while the system clears the same memory again: with BiSeNet V2
    at 512 x 1024 a sixth of the network's time.

    Returns:
        Whether it took effect: glibc (Linux) only, elsewhere nothing happens.

    Note:
        Memory taken for large maps counts as the process's until it ends, as with PyTorch's memory on a GPU. It works
        for maps that the main thread makes; other threads gain less.

    Example:
        >>> keep_memory() in (True, False)
        True
    """
    return _set({M_MMAP_MAX: 0, M_TRIM_THRESHOLD: KEPT})


def release_memory() -> bool:
    """Undo :func:`keep_memory`: hand back what is free, now and from now on.

    Returns:
        Whether it took effect.
    """
    done = _set(USUAL)
    if done:
        ctypes.CDLL(None).malloc_trim(0)
    return done


def _set(options: dict[int, int]) -> bool:
    """Set options of glibc's allocator."""
    if not sys.platform.startswith('linux'):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, 'mallopt') or not hasattr(libc, 'gnu_get_libc_version'):
        return False
    return all([libc.mallopt(option, value) == 1 for option, value in options.items()])
