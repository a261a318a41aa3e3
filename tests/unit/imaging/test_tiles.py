"""Tiles cover the picture and join without a trace."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecraft.imaging.geometry import Size
from facecraft.imaging.tiles import blend_tiles, tiles


@given(st.integers(1, 300), st.integers(1, 300), st.integers(8, 100), st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_every_pixel_is_covered_by_tiles_of_one_size(width: int, height: int, tile: int, overlap: int) -> None:
    seen = np.zeros((height, width), int)
    sizes = set()
    for part in tiles(Size(width, height), tile, overlap):
        sizes.add(part.size)
        assert part.x + part.size.width <= width
        assert part.y + part.size.height <= height
        seen[part.y : part.y + part.size.height, part.x : part.x + part.size.width] += 1
    assert seen.min() >= 1
    assert len(sizes) == 1


def test_neighbours_overlap() -> None:
    starts = sorted({part.x for part in tiles(Size(1000, 64), 256, 32)})
    assert all(b - a <= 256 - 32 for a, b in pairwise(starts))


@pytest.mark.parametrize("scale", [1, 2])
def test_tiles_that_were_not_changed_give_the_picture_back(scale: int) -> None:
    picture = np.random.default_rng(0).random((70, 90, 3), np.float32)
    enlarged = picture.repeat(scale, 0).repeat(scale, 1)
    parts = (
        (t, enlarged[t.y * scale : (t.y + t.size.height) * scale, t.x * scale : (t.x + t.size.width) * scale])
        for t in tiles(Size(90, 70), 32, 8)
    )
    assert np.allclose(blend_tiles(Size(90, 70), parts, overlap=8, scale=scale), enlarged, atol=1e-5)


def test_a_difference_between_tiles_becomes_a_ramp() -> None:
    size = Size(56, 32)
    parts = ((t, np.full((32, 32, 1), float(t.x > 0), np.float32)) for t in tiles(size, 32, 8))
    row = blend_tiles(size, parts, overlap=8)[16, :, 0]
    assert row[0] == 0
    assert row[-1] == 1
    assert np.abs(np.diff(row)).max() < 0.2


def test_wrong_overlap() -> None:
    with pytest.raises(ValueError, match="overlap"):
        next(tiles(Size(10, 10), 8, 8))
    with pytest.raises(ValueError, match="no tiles"):
        blend_tiles(Size(10, 10), [], overlap=2)
