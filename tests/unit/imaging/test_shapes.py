"""Outlines: the right size, a soft edge that ends before the border, the same at every output size."""

from __future__ import annotations

import math

import numpy as np
import pytest

from facecraft.imaging.geometry import Size
from facecraft.imaging.shapes import Shape, shape_mask

SIZES = [Size(648, 648), Size(300, 400), Size(1200, 600), Size(64, 64), Size(97, 131)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("feather", [0.0, 3.0, 8.0, 20.0])
@pytest.mark.parametrize("shape", [Shape.OVAL, Shape.CIRCLE])
def test_round_shapes_have_come_down_to_zero_at_the_border(size: Size, feather: float, shape: Shape) -> None:
    mask = shape_mask(size, shape, feather=feather)
    assert mask.shape == (size.height, size.width)
    assert mask.dtype == np.float32
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    assert border.max() == 0
    assert mask[size.height // 2, size.width // 2] == 1
    assert np.array_equal(mask, mask[::-1])
    assert np.array_equal(mask, mask[:, ::-1])


def test_oval_has_the_area_of_its_ellipse() -> None:
    mask = shape_mask(Size(300, 400), Shape.OVAL)
    assert math.isclose(float(mask.sum()), math.pi * 0.48 * 300 * 0.48 * 400, rel_tol=0.005)


@pytest.mark.parametrize("feather", [2.0, 5.0])
def test_feather_is_a_part_of_the_output_whatever_its_size(feather: float) -> None:
    small, large = (shape_mask(Size(s, s), Shape.OVAL, feather=feather) for s in (200, 800))
    widths = [float(((row > 0.02) & (row < 0.98)).sum()) / row.size for row in (small[100], large[400])]
    assert math.isclose(*widths, abs_tol=0.012)
    assert widths[1] / 2 * 100 == pytest.approx(feather, rel=0.25)


def test_sharp_edge_is_antialiased() -> None:
    mask = shape_mask(Size(101, 101), Shape.CIRCLE)
    between = mask[(mask > 0) & (mask < 1)]
    assert 150 < between.size < 500
    assert np.unique(between.round(2)).size > 20


def test_rounded_frame() -> None:
    mask = shape_mask(Size(200, 100), Shape.ROUNDED, corner_radius=0.2)
    assert mask[0, 0] == 0
    assert mask[0, 100] == 1
    assert mask[50, 0] == 1
    assert math.isclose(float(mask.sum()), 200 * 100 - (4 - math.pi) * 20 * 20, rel_tol=0.002)
    soft = shape_mask(Size(200, 100), Shape.ROUNDED, corner_radius=0.2, feather=10)
    assert max(soft[0].max(), soft[:, 0].max(), soft[-1].max(), soft[:, -1].max()) == 0


def test_none_is_everything() -> None:
    assert (shape_mask(Size(5, 4), Shape.NONE, feather=50) == 1).all()
