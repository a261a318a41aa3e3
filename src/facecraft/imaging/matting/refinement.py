"""`refine`, which finds the edge that a coarse mask only hints at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Alpha, Pixels
from facecraft.imaging.matting.closed_form import solve
from facecraft.imaging.matting.guided import upsample
from facecraft.imaging.matting.trimap import Trimap, tidy, trimap
from facecraft.imaging.resample import resize


class Refine(StrEnum):
    """How much work goes into the edge."""

    FINE = "fine"
    FAST = "fast"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class _Plan:
    """The grid on which the system is solved: a part of the subject's longer side, within bounds, in pixels."""

    part: float
    least: int
    most: int
    reach: int
    iterations: int


_PLANS = {
    Refine.FINE: _Plan(part=0.5, least=320, most=720, reach=3, iterations=120),
    Refine.FAST: _Plan(part=0.25, least=200, most=360, reach=1, iterations=50),
}
_MARGIN = 0.03
"""Space around the coarse subject that is looked at too, as a part of the longer side."""
_CONTRAST = 2.0
"""Coarse probabilities are stretched about one half by this: networks stay unsure in a wider strip than edges need."""
_PRIOR = 1e-4
"""Weight of the coarse alpha at its edge, against a Laplacian whose diagonal is about five."""
_DOUBT, _RISE = 0.5, 4
"""Away from the edge that weight grows with this power of the distance, in this part of the band's width."""
_EPSILON = 1e-6
_TOLERANCE = 1e-3
_HAZE = 0.04
"""Closed-form alphas this near to 0 and 1 are noise of the solution: on white they would be a veil."""


def refine(pixels: Pixels, coarse: Alpha, *, quality: Refine = Refine.FINE) -> Alpha:
    """Return the alpha of the subject (H×W float32, 0..1) that ``coarse`` marks roughly.

    ``pixels`` is the picture (H×W×3 RGB uint8), ``coarse`` a probability (H×W float32, 0..1). ``fine`` solves
    closed-form matting in a band along the edge at half the size of the subject, ``fast`` at a quarter; both carry
    the result to full size along the picture's edges. ``none`` only removes specks and pinholes. An empty or full
    mask is returned as it is. Raises ValueError when the shapes differ.
    """
    if pixels.shape[:2] != coarse.shape:
        raise ValueError(f"the picture is {pixels.shape[:2]}, its mask {coarse.shape}")
    marked = (coarse > 0.02).astype(np.uint8)
    x, y, w, h = cv2.boundingRect(marked)
    if w == 0 or h == 0:
        return coarse
    margin = max(4, round(_MARGIN * max(w, h)))
    top, left = max(0, y - margin), max(0, x - margin)
    part = (slice(top, min(coarse.shape[0], y + h + margin)), slice(left, min(coarse.shape[1], x + w + margin)))
    out = np.zeros_like(coarse)
    if quality is Refine.NONE:
        out[part] = tidy(coarse[part])
        return out
    plan = _PLANS[quality]
    region = pixels[part]
    side = max(region.shape[:2])
    scale = min(1.0, min(max(plan.part * side, plan.least), plan.most) / side)
    size = Size(max(1, round(region.shape[1] * scale)), max(1, round(region.shape[0] * scale)))
    small = resize(region, size)
    mask = tidy(resize(coarse[part], size))
    mask = ((mask - 0.5) * _CONTRAST + 0.5).clip(0, 1)
    hint = trimap(mask, plan.reach)
    alpha = solve(
        small,
        hint.known,
        hint.start,
        prior=_prior(hint, plan.reach),
        epsilon=_EPSILON,
        iterations=plan.iterations,
        tolerance=_TOLERANCE,
    )
    alpha = ((alpha - _HAZE) / (1 - 2 * _HAZE)).clip(0, 1)
    out[part] = upsample(alpha, small, region)
    return out


def _prior(hint: Trimap, reach: int) -> Alpha:
    """How firmly the coarse alpha is believed at each pixel: hardly at its edge, more and more away from it."""
    return np.asarray(_PRIOR * (1 + (hint.distance / (_DOUBT * reach)) ** _RISE), np.float32)
