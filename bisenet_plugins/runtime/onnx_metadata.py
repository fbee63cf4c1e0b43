"""The metadata of an ONNX file, read without the package onnx and without opening the graph."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from typing import Any

from ..errors import DeployError

__all__ = ['read_metadata']

METADATA_FIELD = 14
"""Number of ``metadata_props`` in ONNX's ``ModelProto``; each entry has its key as field 1 and its value as field 2."""
NUMBER, BYTES, WIDTHS = 0, 2, {1: 8, 5: 4}
"""Wire types of a field: a number, a number of bytes that follow, and as many bytes as that type always has."""


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read what an ONNX file says about itself.

    Args:
        path: ONNX file; of its graph nothing is read.

    Raises:
        DeployError: If it is no ONNX file, or truncated.

    Source:
        https://protobuf.dev/programming-guides/encoding
    """
    try:
        with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            entries = [dict(_fields(value)) for number, value in _fields(content) if number == METADATA_FIELD]
        return {entry[1].decode(): entry.get(2, b'').decode() for entry in entries}
    except (ValueError, KeyError, IndexError) as error:
        raise DeployError(f'{path}: expected an ONNX file, got something else or a truncated one') from error


def _fields(content: Any) -> Iterator[tuple[int, Any]]:
    """Yield number and bytes of every field of a protobuf message that has a length; others are skipped."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        kind = key & 7
        number, place = _varint(content, place) if kind in (NUMBER, BYTES) else (WIDTHS[kind], place)
        end = place if kind == NUMBER else place + number
        if end > len(content):
            raise ValueError('truncated')
        if kind == BYTES:
            yield key >> 3, content[place:end] if number < 1 << 20 else b''
        place = end


def _varint(content: Any, place: int) -> tuple[int, int]:
    value = 0
    for count in range(10):
        value |= (content[place + count] & 127) << 7 * count
        if content[place + count] < 128:
            return value, place + count + 1
    raise ValueError('a number of more than 64 bits')
