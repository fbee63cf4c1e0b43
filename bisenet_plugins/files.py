"""Files that appear only when they are whole."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ['write_atomically']


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file beside its place and move it there once it is whole and on the disk.

    Args:
        path: The file to make or to replace; missing folders are made.
        content: All of its bytes.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / 'folder' / 'note.txt'
        >>> write_atomically(target, b'whole')
        >>> target.read_bytes(), [entry.name for entry in target.parent.iterdir()]
        (b'whole', ['note.txt'])
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f'.{target.name}.{os.getpid()}.partial')
    try:
        with partial.open('wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
