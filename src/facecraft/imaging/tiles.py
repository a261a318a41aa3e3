"""Cut a large picture into overlapping tiles for a network, and join what comes back without seams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecraft.imaging.geometry import Size


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture: its top left pixel and its size."""

    x: int
    y: int
    size: Size


def tiles(size: Size, tile: int, overlap: int) -> Iterator[Tile]:
    """Yield tiles of at most ``tile``×``tile`` that cover ``size``; neighbours share at least ``overlap`` pixels.

    All tiles have the same size (smaller only when the picture is), which lets a network keep one shape. Raises
    ValueError unless 0 <= overlap < tile.
    """
    if not 0 <= overlap < tile:
        raise ValueError(f"overlap must be in 0..{tile - 1}, not {overlap}")
    width, height = min(tile, size.width), min(tile, size.height)
    for y in _starts(size.height, height, overlap):
        for x in _starts(size.width, width, overlap):
            yield Tile(x, y, Size(width, height))


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def blend_tiles(
    size: Size, parts: Iterable[tuple[Tile, NDArray[np.float32]]], *, overlap: int, scale: int = 1
) -> NDArray[np.float32]:
    """Join processed tiles (h·scale × w·scale × C float32 each) into one float32 picture of ``size``·``scale``.

    Each tile counts fully in its middle and fades linearly over ``overlap`` towards a neighbour; parts are used as
    they arrive, so only one is in memory beside the result.
    """
    out: NDArray[np.float32] | None = None
    total = np.zeros((size.height * scale, size.width * scale, 1), np.float32)
    for tile, part in parts:
        if out is None:
            out = np.zeros((size.height * scale, size.width * scale, part.shape[2]), np.float32)
        rows = _ramp(tile.y, tile.size.height, size.height, overlap, scale)
        columns = _ramp(tile.x, tile.size.width, size.width, overlap, scale)
        weight = rows[:, None, None] * columns[None, :, None]
        place = np.s_[
            tile.y * scale : (tile.y + tile.size.height) * scale, tile.x * scale : (tile.x + tile.size.width) * scale
        ]
        out[place] += part * weight
        total[place] += weight
    if out is None:
        raise ValueError("there are no tiles to join")
    out /= np.maximum(total, np.float32(1e-6))
    return out


def _ramp(start: int, length: int, whole: int, overlap: int, scale: int) -> NDArray[np.float32]:
    """Weights along one side of a tile: 1 in the middle, falling over ``overlap`` where another tile goes on."""
    at = np.arange(length * scale, dtype=np.float32) + 0.5
    edge = np.float32(max(overlap * scale, 1))
    weight = np.ones(length * scale, np.float32)
    if start > 0:
        weight = np.minimum(weight, at / edge)
    if start + length < whole:
        weight = np.minimum(weight, (length * scale - at) / edge)
    return weight
