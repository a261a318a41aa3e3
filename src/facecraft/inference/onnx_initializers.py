"""Read constants out of an ``.onnx`` file without loading the network and without the ``onnx`` package.

An ONNX file is one protocol buffer, ``ModelProto``, with the graph inside it. Only its skeleton is walked, on a mapped
file: weights are skipped unless they are asked for, so that a file of half a gigabyte costs milliseconds. Field numbers
are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; the wire format is
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecraft.errors import ModelLoadError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT = 1
_DIMS, _DATA_TYPE, _FLOATS, _INTEGERS, _NAME, _RAW, _DOUBLES, _EXTERNAL = 1, 2, 4, 5, 8, 9, 10, 13
_DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 10: np.dtype("<f2"), 11: np.dtype("<f8")}
"""TensorProto.DataType of the floating types that are read here."""
_MOST_FIELDS = 2_000_000
"""More fields than any network has: damaged files end here."""


@dataclass(frozen=True, slots=True)
class Initializer:
    """One constant of a graph, not yet read."""

    name: str
    shape: tuple[int, ...]
    used: bool
    """Whether a node of the graph takes it."""
    start: int
    """First byte of its message in the file."""
    stop: int


def initializers(path: str | os.PathLike[str]) -> tuple[Initializer, ...]:
    """Return the constants of the network at ``path`` in the order of the graph.

    Raises ModelLoadError when the file cannot be read or is no ONNX network.
    """
    with _Mapped(path) as data:
        found: list[tuple[str, tuple[int, ...], int, int]] = []
        taken: set[str] = set()
        for number, start, stop in _graphs(data):
            for field, first, last in _messages(data, start, stop):
                if field == _GRAPH_NODE:
                    taken.update(
                        _text(data, *where) for key, *where in _messages(data, first, last) if key == _NODE_INPUT
                    )
                elif field == _GRAPH_INITIALIZER:
                    name, shape = _heading(data, first, last)
                    found.append((name, shape, first, last))
            if number and not found and not taken:
                raise data.damaged("its graph is empty")
        return tuple(Initializer(name, shape, name in taken, first, last) for name, shape, first, last in found)


def read_initializer(path: str | os.PathLike[str], initializer: Initializer) -> NDArray[np.float32]:
    """Return the values of ``initializer`` as float32 of its shape.

    Raises ModelLoadError when they are kept in another file, are of no floating type or are incomplete.
    """
    with _Mapped(path) as data:
        kind, chunks = 0, b""
        source: np.dtype[Any] | None = None
        for field, wire, value, first, last in _fields(data, initializer.start, initializer.stop):
            if field == _DATA_TYPE:
                kind = value
            elif field == _EXTERNAL:
                raise ModelLoadError(f"{data.name} keeps {initializer.name} in another file.")
            elif field == _RAW:
                chunks, source = data.bytes(first, last), None
            elif field in (_FLOATS, _DOUBLES):
                # Packed or one by one, they are the same bytes in a row.
                chunks += data.bytes(first, last)
                source = np.dtype("<f4") if field == _FLOATS else np.dtype("<f8")
            elif field == _INTEGERS:
                halves = [value] if wire == _VARINT else list(_varints(data, first, last))
                chunks += np.array(halves, np.uint16).tobytes()  # float16 is stored as its bits
                source = np.dtype("<f2")
        if kind not in _DTYPES:
            raise ModelLoadError(f"{initializer.name} in {data.name} is not made of floating numbers (type {kind}).")
        dtype = _DTYPES[kind] if source is None else source
        if len(chunks) != prod(initializer.shape) * dtype.itemsize:
            raise data.damaged(f"{initializer.name} is incomplete")
        values: NDArray[np.float32] = np.frombuffer(chunks, dtype).astype(np.float32)
        return values.reshape(initializer.shape)


class _Mapped:
    """A file mapped into memory, read with bounds checked."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = Path(path).name
        self._path = path

    def __enter__(self) -> _Mapped:
        try:
            with Path(self._path).open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise ModelLoadError(f"{self.name} cannot be read.", detail=str(error)) from error
        self.length = len(self._map)
        self._left = _MOST_FIELDS
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()

    def bytes(self, start: int, stop: int) -> bytes:
        return self._map[start:stop]

    def varint(self, at: int, stop: int) -> tuple[int, int]:
        """Return the number that starts at ``at`` and where the next field starts."""
        value = 0
        for shift in range(0, 70, 7):
            if at >= stop:
                break
            byte = self._map[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise self.damaged("a number does not end")

    def count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise self.damaged("it has no end")

    def damaged(self, why: str) -> ModelLoadError:
        return ModelLoadError(
            f"{self.name} is damaged or is not an ONNX network.",
            hint="Run `facecraft models verify` to find damaged files.",
            detail=why,
        )


def _fields(data: _Mapped, at: int, stop: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield number, wire type, value (of varints), first and last byte of each field of a message."""
    while at < stop:
        data.count()
        key, at = data.varint(at, stop)
        number, wire = key >> 3, key & 7
        value, first = 0, at
        if wire == _VARINT:
            value, at = data.varint(at, stop)
        elif wire == _BYTES:
            length, first = data.varint(at, stop)
            at = first + length
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise data.damaged(f"wire type {wire}")
        if at > stop:
            raise data.damaged("a field reaches beyond its message")
        yield number, wire, value, first, at


def _messages(data: _Mapped, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    return ((number, first, last) for number, wire, _, first, last in _fields(data, start, stop) if wire == _BYTES)


def _graphs(data: _Mapped) -> Iterator[tuple[int, int, int]]:
    found = [message for message in _messages(data, 0, data.length) if message[0] == _MODEL_GRAPH]
    if not found:
        raise data.damaged("it has no graph")
    return iter(found)


def _heading(data: _Mapped, start: int, stop: int) -> tuple[str, tuple[int, ...]]:
    name, shape = "", []
    for field, wire, value, first, last in _fields(data, start, stop):
        if field == _DIMS:
            shape += [value] if wire == _VARINT else list(_varints(data, first, last))
        elif field == _NAME:
            name = _text(data, first, last)
    return name, tuple(shape)


def _varints(data: _Mapped, at: int, stop: int) -> Iterator[int]:
    while at < stop:
        value, at = data.varint(at, stop)
        yield value


def _text(data: _Mapped, start: int, stop: int) -> str:
    return data.bytes(start, stop).decode("utf-8", "replace")
