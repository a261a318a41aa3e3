"""One resampling: no aliasing when it shrinks, no ringing worth seeing when it enlarges, no shift ever."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from facecraft.imaging.geometry import Size, Transform
from facecraft.imaging.resample import fit, letterbox, resize, resize_transform, warp, warp_mask


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    error = float(np.square(a.astype(np.float64) - b).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def centered(scale: float, degrees: float, source: int, target: int) -> Transform:
    a, b = (source - 1) / 2, (target - 1) / 2
    return Transform.similarity(scale=scale, degrees=degrees, source=(a, a), target=(b, b))


def zone_plate(side: int, finest: float) -> NDArray[np.uint8]:
    """Rings that get finer outwards, down to ``finest`` pixels per period at the middle of a side."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    rate = math.pi / (finest * side / 2)
    gray = 127.5 + 127.5 * np.cos(rate * (x * x + y * y))
    return np.repeat(gray.round().astype(np.uint8)[..., None], 3, axis=2)


def test_identity_and_whole_pixel_shifts_are_exact() -> None:
    picture = np.ascontiguousarray(data.astronaut()[:200, :180])
    size = Size(180, 200)
    assert np.array_equal(warp(picture, Transform.identity(), size).pixels, picture)
    moved = warp(picture, Transform(np.array([[1.0, 0, -7], [0, 1.0, 13]])), size).pixels
    assert np.array_equal(moved[13:, :-7], picture[:-13, 7:])


def test_turning_there_and_back_keeps_the_picture() -> None:
    picture = np.ascontiguousarray(data.astronaut())
    there = centered(1.0, 17, 512, 512)
    back = warp(warp(picture, there, Size(512, 512)).pixels, there.inverse(), Size(512, 512)).pixels
    middle = np.s_[128:384, 128:384]
    assert psnr(back[middle], picture[middle]) > 32


@pytest.mark.parametrize("scale", [0.8, 0.62, 0.5, 0.37, 0.2, 0.11])
def test_detail_too_fine_for_the_output_turns_gray_and_not_into_rings(scale: float) -> None:
    # In the outer ring every period is shorter than two output pixels: nothing may be left of it.
    plate = zone_plate(1024, finest=2.0)
    side = round(1024 * scale)
    out = warp(plate, centered(scale, 3.0, 1024, side), Size(side, side)).pixels[:, :, 0].astype(float)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    period = 2.0 * 512 * scale * scale / np.maximum(np.hypot(x, y), 1)  # in output pixels
    hidden = (period < 1.35) & (period > 1.05) & (np.hypot(x, y) < 0.48 * side)
    if hidden.sum() > 50:
        assert out[hidden].std() < 0.33 * 127.5 / math.sqrt(2)
    shown = period > 6
    if shown.sum() > 500:
        assert out[shown].std() > 0.75 * 127.5 / math.sqrt(2)


@pytest.mark.parametrize("scale", [0.9, 0.5, 0.33, 0.21])
def test_shrinking_is_close_to_the_ideal_area_mean(scale: float) -> None:
    picture = np.ascontiguousarray(data.astronaut())
    side = round(512 * scale)
    reference = resize(picture, Size(side, side))
    out = warp(picture, resize_transform(Size(512, 512), Size(side, side)), Size(side, side)).pixels
    assert psnr(out, reference) > 28
    # A shift by a tenth of a pixel would show as a mean difference along every edge; the centroid must not move.
    weights = np.arange(side)
    for axis in (0, 1):
        a, b = (np.average(weights, weights=p[:, :, 0].sum(axis=axis).astype(float)) for p in (out, reference))
        assert abs(a - b) < 0.03


def test_enlarging_hardly_rings() -> None:
    edge = np.full((40, 40, 3), 60, np.uint8)
    edge[:, 20:] = 190
    out = warp(edge, centered(4.0, 0, 40, 160), Size(160, 160)).pixels
    assert out.max() <= 190 + 13
    assert out.min() >= 60 - 13


def test_only_the_needed_part_is_touched() -> None:
    """Garbage far from the crop must not matter."""
    a = np.zeros((800, 800, 3), np.uint8)
    a[350:450, 350:450] = data.astronaut()[100:200, 200:300]
    b = a.copy()
    b[:300] = 255
    b[:, 500:] = 77
    crop = Transform.similarity(scale=0.45, degrees=10, source=(400, 400), target=(15, 15))
    assert np.array_equal(warp(a, crop, Size(31, 31)).pixels, warp(b, crop, Size(31, 31)).pixels)


def test_mask_keeps_its_area_and_range() -> None:
    mask = np.zeros((300, 300), np.float32)
    mask[100:200, 120:180] = 1
    out = warp_mask(mask, centered(0.31, 25, 300, 120), Size(120, 120))
    assert out.min() >= 0
    assert out.max() <= 1
    assert math.isclose(float(out.sum()), 100 * 60 * 0.31**2, rel_tol=0.03)


@pytest.mark.parametrize(
    ("target", "expected"), [((50, 50), (50, 25)), ((400, 30), (60, 30)), ((400, 400), (200, 100))]
)
def test_fit(target: tuple[int, int], expected: tuple[int, int]) -> None:
    out = fit(np.zeros((100, 200, 3), np.uint8), Size(*target))
    assert (out.shape[1], out.shape[0]) == expected


def test_letterbox_map_points_at_the_same_detail() -> None:
    picture = np.zeros((100, 300, 3), np.uint8)
    picture[40:43, 200:203] = 255
    for centered_ in (True, False):
        boxed, place = letterbox(picture, Size(192, 192), centered=centered_)
        x, y = place(np.array([[201.0, 41.0]]))[0]
        mass = boxed[:, :, 0].astype(float)
        ys, xs = np.mgrid[:192, :192]
        assert abs((mass * xs).sum() / mass.sum() - x) < 0.2
        assert abs((mass * ys).sum() / mass.sum() - y) < 0.2
