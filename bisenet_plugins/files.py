"""Files: images that are read upright, and files that appear only when they are whole."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import shutil
import time
import zlib
from pathlib import Path

import cv2
import numpy as np

from .errors import InputError, printable

__all__ = ['is_running', 'partial_path', 'read_image', 'sweep', 'write_atomically']

PAGED = ('.tif', '.tiff', '.webp')
PATIENCE = 3600  # seconds after which nobody writes to an unfinished file any more


def read_image(path: Path) -> np.ndarray:
    """Read an image as BGR, turned upright as its EXIF entry says.

    Args:
        path: The file.

    Shape:
        - Output: ``(H, W, 3)`` uint8.

    Note:
        Of a TIFF or WebP file with several pages the first is read, which a log line says.

    Raises:
        InputError: If the file is missing, empty, truncated or no image.
    """
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    except (OSError, ValueError, cv2.error) as error:
        opencv = f'OpenCV refuses it: {error.err}' if isinstance(error, cv2.error) else error
        raise InputError(f'{path}: {getattr(error, "strerror", opencv)}') from error
    if image is None:
        raise InputError(f'{path}: expected an image, got bytes that cannot be decoded as one')
    if path.suffix.lower() in PAGED:
        with contextlib.suppress(cv2.error, UnicodeError):
            pages = cv2.imcount(str(path))
            if pages > 1:
                logging.getLogger(__name__).warning('%s', printable(f'{path}: {pages} pages, the first is used'))
    return image


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
    sweep(target.parent)
    partial = partial_path(target, f'{os.getpid()}.partial')
    try:
        with partial.open('wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except OSError as error:  # of a write it does not know the file
        if error.strerror and error.filename in (None, str(partial)):
            error.filename = str(target)
        raise
    finally:
        partial.unlink(missing_ok=True)


def partial_path(target: Path, ending: str) -> Path:
    """Name what is not whole yet, beside its place and in few bytes, as a name may have no more than 255.

    Args:
        target: The place.
        ending: End of the name; a process number before ``.partial`` lets a later run remove it.

    Example:
        >>> partial_path(Path('film'), 'partial').as_posix()
        '.8244be22.partial'
    """
    return target.with_name(f'.{zlib.crc32(os.fsencode(target.name)):08x}.{ending}')


@functools.lru_cache(maxsize=1024)
def sweep(folder: Path) -> None:
    """Remove, once, what processes that are gone have left unfinished in a folder.

    Args:
        folder: Where they wrote.
    """
    for path in folder.glob('.*.partial*'):
        owner = re.fullmatch(r'\.[0-9a-f]{8}\.(\d+)\.partial(\.mp4)?', path.name)
        with contextlib.suppress(OSError):  # another machine or container counts processes of its own
            if owner is not None and not is_running(int(owner[1])) and time.time() - path.stat().st_mtime > PATIENCE:
                path.unlink() if path.is_file() else shutil.rmtree(path)


def is_running(pid: int) -> bool:
    """Return whether there is a process of that number.

    Args:
        pid: The number.

    Example:
        >>> is_running(os.getpid())
        True
    """
    try:
        os.kill(pid, 0)
    except OSError as error:  # one of another user may not be asked, but is there
        return not isinstance(error, ProcessLookupError)
    return True
