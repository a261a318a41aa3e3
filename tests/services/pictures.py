"""Pictures of several people, made of one: a recogniser that sees colours only tells them apart by their tint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facecraft.imaging.image import Image

RED, BLUE = np.array([1.0, 0.25, 0.25]), np.array([0.25, 0.25, 1.0])


def tinted(image: Image, tint: NDArray[np.float64]) -> Image:
    """Return ``image`` with red, green and blue multiplied by ``tint``."""
    return Image((image.rgb * tint).astype(np.uint8))


def pale(image: Image) -> Image:
    """Return ``image`` so bright that it is like none of the tinted ones."""
    return Image((255 - (255 - image.rgb.astype(np.float64)) * 0.4).astype(np.uint8))


def beside(left: Image, right: Image) -> Image:
    """Return both pictures, of one height, beside each other."""
    return Image(np.ascontiguousarray(np.hstack([left.rgb, right.rgb])))
