"""Files: images that are read upright, and files that appear only when they are whole."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import secrets
import shutil
import time
import zlib
from pathlib import Path

import cv2
import numpy as np

from .errors import InputError, expect, printable

__all__ = ['IMAGE_SUFFIXES', 'discard', 'is_running', 'partial_path', 'read_image', 'sweep', 'write_atomically']

# Of the files in a folder that are taken for images.
IMAGE_SUFFIXES = tuple('.avif .bmp .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp'.split())
NETPBM = re.compile(rb'P[2356](?:(?:\s|#[^\n]*\n)+\d+){2}(?:\s|#[^\n]*\n)+(\d{1,9})')  # up to its maximum
PAGED = ('.tif', '.tiff', '.webp')
PATIENCE = 3600  # seconds after which nobody writes to an unfinished file any more
BEGIN = time.time()


def read_image(path: Path) -> np.ndarray:
    """Read an image as BGR, turned upright as its EXIF entry says.

    Args:
        path: The file.

    Shape:
        - Output: ``(H, W, 3)`` uint8.

    Note:
        Of a TIFF or WebP file with several pages the first is read, which a log line says. Transparency is left out;
        OpenCV has darkened the transparent pixels of a TIFF file by then, and does not turn an AVIF file.

    Raises:
        InputError: If the file is missing, empty, truncated or no image, or a PGM or PPM file whose maximum OpenCV
            leaves out of account, so that the image would be dark.
    """
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    except (OSError, ValueError, cv2.error) as error:
        opencv = f'OpenCV refuses it: {error.err}' if isinstance(error, cv2.error) else error
        raise InputError(f'{path}: {getattr(error, "strerror", opencv)}') from error
    if image is None:
        raise InputError(f'{path}: expected an image, got bytes that cannot be decoded as one')
    if (most := NETPBM.match(content[:9999].tobytes())) is not None:
        expect(int(most[1]) in (255, 65535), str(path), 'a PGM or PPM of maximum 255 or 65535', int(most[1]))
    if path.suffix.lower() in PAGED:
        with contextlib.suppress(cv2.error, UnicodeError):
            if (pages := cv2.imcount(str(path))) > 1:
                logging.getLogger(__name__).warning('%s', printable(f'{path}: {pages} pages, the first is used'))
    return image


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file beside its place and move it there once it is whole and on the disk.

    Args:
        path: The file to make or to replace; missing folders are made.
        content: All of its bytes.

    Note:
        A file that is replaced leaves its permission bits to the new one. A device, a pipe or whatever else is no file
        is written to as it stands.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / 'folder' / 'note.txt'
        >>> write_atomically(target, b'whole')
        >>> target.read_bytes(), [entry.name for entry in target.parent.iterdir()]
        (b'whole', ['note.txt'])
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not target.is_file():
        target.write_bytes(content)
        return
    sweep(target.parent)
    partial = partial_path(target)
    try:
        with partial.open('wb') as file:
            with contextlib.suppress(OSError):  # none yet, or nothing that the disk keeps
                partial.chmod(target.stat().st_mode & 0o777)
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


def partial_path(target: Path, suffix: str = '') -> Path:
    """Name what is not whole yet: beside its place, for one writer alone, and in few bytes of the 255 that it may have.

    Args:
        target: The place.
        suffix: End of the name.

    Example:
        >>> name = partial_path(Path('film'), '.mp4').as_posix()
        >>> name == f'.8244be22.{os.getpid()}.{name.split(".")[3]}.partial.mp4'
        True
    """
    crc = zlib.crc32(os.fsencode(target.name))
    return target.with_name(f'.{crc:08x}.{os.getpid()}.{secrets.token_hex(4)}.partial{suffix}')


@functools.lru_cache(maxsize=1024)
def sweep(folder: Path) -> None:
    """Remove, once, what processes that are gone have left unfinished in a folder.

    Args:
        folder: Where they wrote.

    Note:
        Another machine or container counts processes of its own, so that a number that is free here, or is this one's,
        may be at work there: only what nobody wrote to for an hour, nor since this process began, is removed.
    """
    for path in folder.glob('.*.partial*'):
        owner = re.fullmatch(r'\.[0-9a-f]{8}\.(\d+)(\.[0-9a-f]{8})?\.partial(\.mp4)?', path.name)
        gone = owner is not None and (int(owner[1]) == os.getpid() or not is_running(int(owner[1])))
        with contextlib.suppress(OSError):
            if gone and path.stat().st_mtime < min(BEGIN, time.time() - PATIENCE):
                discard(path)


def discard(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be removed.

    Args:
        path: What it is.
    """
    with contextlib.suppress(OSError):
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
