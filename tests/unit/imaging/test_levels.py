"""Levels are spread for networks only as far as a picture does not use them."""

from __future__ import annotations

import numpy as np

from facecraft.imaging.image import Image
from facecraft.imaging.levels import spread


def test_a_picture_that_uses_its_range_is_left_alone(astronaut: Image) -> None:
    full = np.ascontiguousarray(astronaut.rgb)
    assert float(np.abs(spread(full).astype(int) - full).mean()) < 6
    black_and_white = np.zeros((64, 64, 3), np.uint8)
    black_and_white[32:] = 255
    assert spread(black_and_white) is black_and_white


def test_flat_and_tinted_light_comes_out_alike(astronaut: Image) -> None:
    flat = (astronaut.rgb * 0.35 + 100).astype(np.uint8)
    tinted = np.clip(astronaut.rgb * np.array([0.5, 1.0, 0.6]), 0, 255).astype(np.uint8)
    wanted = spread(np.ascontiguousarray(astronaut.rgb)).astype(int)
    for poor in (flat, tinted):
        assert np.abs(spread(poor).astype(int) - wanted).mean() < 0.4 * np.abs(poor.astype(int) - wanted).mean()


def test_plain_and_tiny_pictures_survive() -> None:
    for value in (0, 128, 255):
        assert spread(np.full((1, 1, 3), value, np.uint8)).shape == (1, 1, 3)
