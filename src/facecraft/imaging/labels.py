"""Soft masks from pictures of labels."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from facecraft.imaging.image import Alpha


def membership(labels: NDArray[np.uint8], classes: Iterable[int], *, sigma: float = 5.0) -> Alpha:
    """Return how surely each pixel of H×W ``labels`` lies within ``classes``: H×W float32, 0..1.

    The edge fades inwards only, over about two ``sigma`` pixels (a Gaussian of the members, of which the upper half
    is kept, as FaceFusion does it); 0 wherever another label is.
    """
    table = np.zeros(256, np.float32)
    table[list(classes)] = 1
    inside = table[labels]
    soft = inside if sigma <= 0 else np.asarray(cv2.GaussianBlur(inside, (0, 0), sigma), np.float32)
    upper: Alpha = np.clip(soft * 2 - 1, 0, 1).astype(np.float32)
    return np.minimum(upper, inside)
