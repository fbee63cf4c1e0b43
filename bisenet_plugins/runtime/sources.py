"""Where images come from: files, folders, patterns, videos and cameras, all read the same way."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from ..errors import InputError, expect
from ..files import IMAGE_SUFFIXES, read_image

__all__ = ['Frame', 'Source', 'find_sources', 'open_source']

COUNTED_SUFFIXES = frozenset('.3gp .avi .gif .m4v .mov .mp4'.split())
"""Of videos that hold the number of their frames."""
VIDEO_SUFFIXES = COUNTED_SUFFIXES | frozenset('.flv .m2ts .mkv .mpeg .mpg .mts .ogv .ts .webm .wmv'.split())
KNOWN_SUFFIXES = VIDEO_SUFFIXES.union(IMAGE_SUFFIXES)


@dataclass(frozen=True)
class Source:
    """One image, video or camera.

    Args:
        kind: ``image``, ``video``, ``camera``, or ``missing`` for an input that matched nothing.
        name: Relative path without suffix under which results are written.
        path: The file; empty for a camera.
        index: Number of the camera.
    """

    kind: str
    name: str
    path: Path = field(default_factory=Path)
    index: int = -1

    def __str__(self) -> str:
        """Name the source as the user gave it."""
        return f'camera {self.index}' if self.kind == 'camera' else str(self.path)


@dataclass(frozen=True)
class Frame:
    """One image of a source.

    Args:
        image: ``(H, W, 3)`` uint8 BGR.
        number: Place in a video or a camera's stream; 0 for an image.
    """

    image: np.ndarray
    number: int = 0


def find_sources(inputs: Sequence[str], recursive: bool = False, exclude: Iterable[Path] = ()) -> list[Source]:
    """List what a command line's inputs mean.

    Args:
        inputs: Image and video files (a GIF is one), folders, patterns with ``*``, ``?`` or ``[...]``, camera numbers.
        recursive: Look into folders of folders; ``**`` in a pattern does so in any case.
        exclude: Folders whose files are left out, such as the one that results go to.

    Returns:
        Sources in the order given, files of a folder sorted; each once, each with a name of its own.

    Raises:
        InputError: If an input is empty or an address in a network.

    Note:
        An input that matches nothing becomes a source of kind ``missing``, so that it is counted, not forgotten.

    Example:
        >>> [(source.kind, source.name) for source in find_sources(['0', 'no/such.png'])]
        [('camera', 'camera_0'), ('missing', 'such')]
    """
    shut = [Path(folder).resolve() for folder in exclude]
    listed: list[Source] = []
    for text in inputs:
        expect(bool(text) and '://' not in text, 'input', 'a file, folder, pattern or camera', text)
        path = Path(text)
        if text.isdecimal() and not path.exists():
            listed.append(Source('camera', f'camera_{int(text)}', index=int(text)))
        elif path.is_file():
            listed.append(_file(path, Path(path.name)))
        else:
            if path.is_dir():
                files = [file for file in _walk(path, recursive) if file.suffix.lower() in KNOWN_SUFFIXES]
            else:
                files = [Path(match) for match in glob.glob(text, recursive=True) if os.path.isfile(match)]
            files = sorted(file for file in files if not any(folder in file.resolve().parents for folder in shut))
            listed += [_file(file, file.relative_to(path) if path.is_dir() else Path(file.name)) for file in files]
            if not files:
                listed.append(Source('missing', path.stem or 'input', path))
    return _with_own_names(listed)


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
    """Yield the files of a folder, each folder once however many links lead to it; a broken link is named later."""
    seen = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        if not recursive or os.path.realpath(root) in seen:
            folders.clear()
        if os.path.realpath(root) not in seen:
            yield from (file for name in names if (file := Path(root, name)).is_file() or not file.exists())
        seen.add(os.path.realpath(root))


def _file(path: Path, relative: Path) -> Source:
    """Make a source of a file; what has no known suffix is tried as an image."""
    kind = 'video' if path.suffix.lower() in VIDEO_SUFFIXES else 'image'
    name = relative if not relative.stem.strip('.') else relative.with_suffix('')  # '..mp4' would name a folder above
    return Source(kind, name.as_posix(), path)


def _with_own_names(listed: list[Source]) -> list[Source]:
    """Drop files given twice, and tell equal names apart by suffix, folders, or a number where links have equal ones.

    A link to a file is a file of its own: tools that keep data let many names lead to one content.
    """
    once: dict[tuple[str, int, str, str], Source] = {}
    for source in listed:
        once.setdefault((source.kind, source.index, os.path.realpath(source.path.parent), source.path.name), source)
    names = [source.name for source in once.values()]
    for depth in range(max((len(source.path.absolute().parts) for source in once.values()), default=0)):
        counts = Counter(names)
        names = [_longer(name, source.path, depth) if counts[name] > 1 else name
                 for name, source in zip(names, once.values(), strict=True)]
    folders = {parent.as_posix() for name in names for parent in PurePosixPath(name).parents}
    taken: set[str] = set()
    result = []
    for name, source in zip(names, once.values(), strict=True):
        if source.kind == 'video' and name in folders:  # it has a folder of its own
            name = _longer(name, source.path)
        base, number = name, 2
        while name in taken:
            name, number = f'{base}_{number}', number + 1
        taken.add(name)
        result.append(Source(source.kind, name, source.path, source.index))
    return result


def _longer(name: str, path: Path, depth: int = 0) -> str:
    """Add the suffix, or so many folders, to a name; a number would mean another file once there are more."""
    if depth == 0:
        return f'{name}_{path.suffix[1:]}' if path.suffix else name
    folders = Path(os.path.abspath(path)).parent.parts[1:]  # without '..'
    return '/'.join([*folders[-depth:], name.rpartition('/')[2]])


class open_source:
    """Read the frames of a source one after the other.

    Args:
        source: As from :func:`find_sources`.

    Attributes:
        length: Number of frames, None where it is not known.
        fps: Frames a second, 0 for images.

    Raises:
        InputError: When entered or read, if the source is missing or damaged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / 'grey.png'
        >>> _ = cv2.imwrite(str(path), np.zeros((4, 6, 3), np.uint8))
        >>> with open_source(find_sources([str(path)])[0]) as frames:
        ...     [(frame.number, frame.image.shape) for frame in frames]
        [(0, (4, 6, 3))]
    """

    def __init__(self, source: Source) -> None:
        self.source, self.fps = source, 0.0
        self.length: int | None = 1 if source.kind == 'image' else None
        self._capture: cv2.VideoCapture | None = None

    def __enter__(self) -> open_source:
        """Open the file or the camera."""
        if self.source.kind == 'missing':
            raise InputError(f'{self.source}: nothing there that can be read')
        if self.source.kind in ('video', 'camera'):
            target = self.source.index if self.source.kind == 'camera' else str(self.source.path)
            try:
                self._capture = cv2.VideoCapture(target)
            except (UnicodeEncodeError, cv2.error) as error:
                raise InputError(f'{self.source}: expected a number, or a name in UTF-8, that OpenCV takes') from error
            if not self._capture.isOpened():
                raise InputError(f'{self.source}: cannot be opened as a {self.source.kind}')
            count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
            self.length = count if self.source.kind == 'video' and count > 0 else None
            self.fps = float(self._capture.get(cv2.CAP_PROP_FPS)) or 25.0
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        if self._capture is not None:
            self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames."""
        if self._capture is None:
            yield Frame(read_image(self.source.path))
            return
        number, place, longest = 0, 0.0, 1 / self.fps
        while (found := self._capture.read())[0]:
            now = max(place, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)  # 0 where a frame has no time
            longest, place = max(longest, now - place), now
            yield Frame(found[1], number)
            number += 1
        if self.source.kind == 'video' and self._capture.read()[0]:  # behind the end nothing can be read
            raise InputError(f'{self.source}: expected {self.length or "all"} frames, got {number}, then a damaged one')
        expect(number > 0, str(self.source), 'frames that can be read', number)
        if self.length is None or number >= self.length - 1:
            return
        # other formats count by the longest of their tracks, and as if all frames took equally long
        slack = 2 * longest + (0.0 if self.source.path.suffix.lower() in COUNTED_SUFFIXES else 0.5)
        if self.length / self.fps - place > slack:
            raise InputError(f'{self.source}: expected {self.length} frames, got {number}; the video is truncated, or '
                             'OpenCV cannot read the rest')
