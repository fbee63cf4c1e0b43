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
        if kind not in (0, 1, 2, 5):
            raise ValueError(f'wire type {kind}')
        if kind == 0:
            place = _varint(content, place)[1]
            continue
        length, place = _varint(content, place) if kind == 2 else (8 if kind == 1 else 4, place)
        if place + length > len(content):
            raise ValueError('truncated')
        if kind == 2:
            yield key >> 3, content[place:place + length] if length < 1 << 20 else b''
        place += length


def _varint(content: Any, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[place]
        value, place, shift = value | (byte & 127) << shift, place + 1, shift + 7
        if byte < 128:
            return value, place
