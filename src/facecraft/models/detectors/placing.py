"""How a picture gets into a detector, and what it found back into the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.face import Face
from facecraft.imaging.geometry import Box, Points, Size, Transform
from facecraft.imaging.image import Image, Pixels
from facecraft.imaging.resample import fit, resize_transform


def in_corner(image: Image, canvas: Size) -> tuple[Pixels, Transform]:
    """Put the picture, reduced when it must be, into the top left corner of a black canvas."""
    small = fit(image.rgb, canvas)
    height, width = small.shape[:2]
    pixels = np.zeros((canvas.height, canvas.width, 3), np.uint8)
    pixels[:height, :width] = small
    return pixels, resize_transform(Size(image.width, image.height), Size(width, height))


def canvas_for(image: Image, sides: tuple[int | None, int | None], longest: int) -> Size:
    """The canvas for a network whose input has these ``sides`` (height, width; None is open).

    Open sides follow the picture, reduced until its longer side is at most ``longest``, in multiples of 32.
    """
    scale = min(1.0, longest / max(image.width, image.height))

    def up(side: int) -> int:
        return max(32, -(-round(side * scale) // 32) * 32)

    return Size(sides[1] or up(image.width), sides[0] or up(image.height))


def mapped(transform: Transform, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map the pairs (x, y) of an array of any shape."""
    return transform(points.reshape(-1, 2)).reshape(points.shape)


def face_at(corners: NDArray[np.float64], score: float, five: Points) -> Face:
    """A face from the corners of its box (2×2) and its five landmarks (5×2), in pixels of the picture."""
    (x1, y1), (x2, y2) = corners
    return Face(Box(float(x1), float(y1), float(x2), float(y2)), score, five)
