"""Cut a large picture into overlapping tiles for a network, and join what comes back without seams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecraft.imaging.compositing import over
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Pixels


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


def paint_tiles(out: Pixels, parts: Iterable[tuple[Tile, Pixels]], *, margin: int, scale: int = 1) -> None:
    """Join enlarged tiles (h·scale × w·scale × 3 uint8) straight into ``out`` (H·scale × W·scale × 3 uint8).

    For pictures too large for a float32 copy: beside ``out`` only one row of tiles is in memory. ``parts`` come in the
    order of :func:`tiles`. ``margin`` pixels (of the small picture) along every side that another tile goes on from are
    thrown away, because a network sees too little around them; over what is left of the overlap neighbours fade into
    each other. Raises ValueError when tiles do not share more than both margins.
    """
    whole = Size(out.shape[1] // scale, out.shape[0] // scale)
    band: Pixels | None = None
    row: Tile | None = None
    done_x = done_y = 0  # finished up to here, in pixels of ``out``
    for tile, part in parts:
        if row is not None and tile.y != row.y:
            done_y = _lay_band(out, band, row, done_y, margin=margin, scale=scale)
            band, done_x = None, 0
        if band is None:
            band = np.empty((tile.size.height * scale, out.shape[1], 3), np.uint8)
        row = tile
        first, last = _valid(tile.x, tile.size.width, whole.width, margin, scale)
        _fade(band, part[:, first - tile.x * scale : last - tile.x * scale], first, done_x)
        done_x = last
    if row is not None:
        _lay_band(out, band, row, done_y, margin=margin, scale=scale)


def _lay_band(out: Pixels, band: Pixels | None, row: Tile, done: int, *, margin: int, scale: int) -> int:
    """Lay one finished row of tiles under those above it and return down to where ``out`` is finished."""
    if band is None:
        return done
    first, last = _valid(row.y, row.size.height, out.shape[0] // scale, margin, scale)
    part = band[first - row.y * scale : last - row.y * scale]
    # The same fade with rows for columns; the views are turned, no pixel is moved.
    _fade(out.transpose(1, 0, 2), part.transpose(1, 0, 2), first, done)
    return last


def _valid(start: int, length: int, whole: int, margin: int, scale: int) -> tuple[int, int]:
    first = start + (margin if start > 0 else 0)
    last = start + length - (margin if start + length < whole else 0)
    return first * scale, last * scale


def _fade(out: Pixels, part: Pixels, first: int, done: int) -> None:
    """Write ``part`` into the columns of ``out`` from ``first`` on, fading in over those that are done already."""
    shared = done - first
    if shared < 0:
        raise ValueError("tiles must share more than both margins")
    if shared > 0:
        weight = ((np.arange(shared, dtype=np.float32) + np.float32(0.5)) / np.float32(shared))[None, :]
        place = out[:, first:done]
        place[...] = over(part[:, :shared], np.broadcast_to(weight, place.shape[:2]), place)
    out[:, done : first + part.shape[1]] = part[:, shared:]


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
