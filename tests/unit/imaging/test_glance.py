"""The quick resampling that networks look through agrees with the careful one."""

from __future__ import annotations

import numpy as np
import pytest

from facecraft.imaging.geometry import Size, Transform
from facecraft.imaging.image import Image
from facecraft.imaging.resample import glance, warp


def test_identity_is_exact(astronaut: Image) -> None:
    assert (glance(astronaut.rgb, Transform.identity(), Size(512, 512)) == astronaut.rgb).all()


@pytest.mark.parametrize(("scale", "degrees"), [(0.23, 0), (0.55, 12), (0.5, 90), (1.0, -30), (1.7, 180)])
def test_it_shows_what_the_careful_one_shows(astronaut: Image, scale: float, degrees: float) -> None:
    transform = Transform.similarity(scale=scale, degrees=degrees, source=(250, 230), target=(160, 150))
    quick = glance(astronaut.rgb, transform, Size(320, 300)).astype(int)
    careful = warp(astronaut.rgb, transform, Size(320, 300)).pixels.astype(int)
    off_by_one = [
        np.abs(np.roll(quick, shift, (0, 1)) - careful).mean() for shift in ((0, 1), (1, 0), (0, -1), (-1, 0))
    ]
    error = np.abs(quick - careful).mean()
    assert error < 6
    assert error < min(off_by_one)


@pytest.mark.parametrize("target", [(-5000, -5000), (5000, 40), (3, 9000)])
def test_a_look_beside_the_picture_repeats_its_border(astronaut: Image, target: tuple[float, float]) -> None:
    transform = Transform.similarity(scale=0.4, degrees=5, source=(250, 230), target=target)
    assert glance(astronaut.rgb, transform, Size(64, 48)).shape == (48, 64, 3)
