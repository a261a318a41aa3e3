"""The outline of a finished portrait: oval, rounded, circle or none, with an edge as soft as asked."""

from __future__ import annotations

import numpy as np

from facecraft.imaging.choices import Shape
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Alpha

__all__ = ["Shape", "shape_mask"]


def shape_mask(
    size: Size, shape: Shape, *, radius: float = 0.48, feather: float = 0.0, corner_radius: float = 0.12
) -> Alpha:
    """Return the alpha (float32 0..1, ``size``) of ``shape`` drawn at output size.

    ``radius``: half axes of the oval as a part of width and height, and of the circle as a part of the short side
    (0.48 leaves two percent of air on either side). ``corner_radius``: of the rounded frame, as a part of the short
    side. ``feather``: width of the soft edge in percent of the short side; 0 is a sharp, anti-aliased edge. The soft
    edge is centred on the outline as far as the frame has room and reaches inwards otherwise, so it has come down to 0
    before the border: there is never a straight cut.
    """
    if shape is Shape.NONE:
        return np.ones((size.height, size.width), np.float32)
    short = min(size.width, size.height)
    # Pixel centres about the middle of the frame.
    x = np.abs(np.arange(size.width, dtype=np.float32) - np.float32((size.width - 1) / 2))
    y = np.abs(np.arange(size.height, dtype=np.float32) - np.float32((size.height - 1) / 2))[:, None]
    match shape:
        case Shape.OVAL:
            a, b = radius * size.width, radius * size.height
            distance = _ellipse_distance(x, y, a, b)
            room = min(size.width / 2 - a, size.height / 2 - b)
        case Shape.CIRCLE:
            distance = np.hypot(x, y) - np.float32(radius * short)
            room = short / 2 - radius * short
        case Shape.ROUNDED:
            distance = _rounded_distance(x, y, size, min(corner_radius, 0.5) * short)
            room = 0.0
    width = feather / 100 * short
    if width < 1:
        return np.asarray(np.clip(np.float32(0.5) - distance, 0, 1), np.float32)
    # Alpha is 0 from `outward` outside the outline; the centres of border pixels lie half a pixel inside the frame.
    outward = min(width / 2, room - 0.5) - 1e-3  # float32 may round either way
    t = np.clip((np.float32(outward) - distance) / np.float32(width), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _ellipse_distance(x: Alpha, y: Alpha, a: float, b: float) -> Alpha:
    """Signed distance to an ellipse to first order (Taubin 1991): exact on the outline, close to it near by."""
    fa, fb = np.float32(1 / a), np.float32(1 / b)
    level = np.sqrt((x * fa) ** 2 + (y * fb) ** 2)
    slope = np.sqrt((x * fa * fa) ** 2 + (y * fb * fb) ** 2)
    # Towards the middle both vanish; the ratio tends to an axis length, never below the shorter one.
    stretch = np.maximum(level / np.maximum(slope, np.float32(1e-12)), np.float32(min(a, b)))
    return np.asarray((level - 1) * stretch, np.float32)


def _rounded_distance(x: Alpha, y: Alpha, size: Size, radius: float) -> Alpha:
    """Signed distance to a rectangle of ``size`` with round corners."""
    dx = x - np.float32(size.width / 2 - radius)
    dy = y - np.float32(size.height / 2 - radius)
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    inside = np.minimum(np.maximum(dx, dy), 0)
    return np.asarray(outside + inside - np.float32(radius), np.float32)
