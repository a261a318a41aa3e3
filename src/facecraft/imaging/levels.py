"""Giving a network the light it was trained on: levels spread channel by channel."""

from __future__ import annotations

import cv2
import numpy as np

from facecraft.imaging.image import Pixels

_TAILS = (1.0, 99.0)
"""Percentiles of each channel that are taken for its black and its white."""
_FULL = 245.0
"""Width of the range that a well lit picture has between them."""
_MOST = 3.0
"""The largest gain: beyond it noise would be taken for detail."""
_BLACK = 5.0


def spread(pixels: Pixels) -> Pixels:
    """Return ``pixels`` (H×W×3 uint8) with the range of each channel stretched, for a network to look at.

    Flat, dark and tinted pictures come out as if they had been well lit; a picture that uses its range is returned as
    it is.
    """
    sample = pixels[::4, ::4].reshape(-1, 3)
    low, high = np.percentile(sample, _TAILS, axis=0)
    gain = np.clip(_FULL / np.maximum(high - low, 1.0), 1.0, _MOST)
    if float(gain.max()) == 1.0:
        return pixels
    levels = np.arange(256)[:, None]
    curves = np.where(gain > 1.0, (levels - low) * gain + _BLACK, levels)
    table = np.rint(np.clip(curves, 0, 255)).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table[None]), np.uint8)
