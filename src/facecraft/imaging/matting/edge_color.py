"""The subject's own colour along its soft edge.

Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021 (blur fusion): blurred averages of what lies
under the alpha and beside it, then one correction that makes the mix reproduce the picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Alpha, Pixels
from facecraft.imaging.resample import resize

_Floats = NDArray[np.float32]

_WORKING_SIDE = 192
"""The averages are smooth: they are taken at this size at most and enlarged."""
_RADII = (0.1, 0.02, 0.005)
"""Blur radii of the rounds as parts of the longer side: the paper's 90 and 6 pixels at 900, and one between them."""
_TIE = np.float32(1e-3)
"""How much of the wider average a narrower one takes in."""
_PURITY = 6
"""Power of the weights: of a wide soft edge only its nearly opaque side shows the colour of the subject."""
_TINY = np.float32(1e-6)


def foreground(pixels: Pixels, alpha: Alpha) -> Pixels:
    """Return the colour of the subject alone, H×W×3 RGB uint8.

    ``pixels`` is the picture (H×W×3 RGB uint8) and ``alpha`` H×W float32 in 0..1. Where ``alpha`` is 1 the colour
    is the picture's own; where it is 0 it is the colour of the nearest part of the subject, so that later scaling
    draws no background in; far from the subject the picture is left alone.
    """
    mixed, subject = alpha < 1, alpha > 0
    if not mixed.any() or not subject.any():
        return pixels
    height, width = alpha.shape
    margin = max(4, round(0.01 * max(height, width)))
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    near = (cv2.dilate(subject.astype(np.uint8), kernel) > 0) & mixed
    if not near.any():  # only values that are no numbers divide the two
        return pixels
    x, y, w, h = cv2.boundingRect(near.astype(np.uint8))
    part = (slice(y, y + h), slice(x, x + w))
    color, cover, spot = pixels[part], alpha[part], near[part]
    scale = min(1.0, _WORKING_SIDE / max(h, w))
    if scale < 1:
        size = Size(max(1, round(w * scale)), max(1, round(h * scale)))
        averages = _fuse(resize(color, size).astype(np.float32), resize(cover, size))
    else:
        averages = _fuse(color.astype(np.float32), cover)
    out = pixels.copy()
    places = np.flatnonzero(spot)
    ys, xs = np.divmod(places, w)
    inner, outer = (_sample(a, (w, h), ys, xs) for a in averages)
    a = cover.reshape(-1)[places, None] if cover.flags.c_contiguous else cover[ys, xs][:, None]
    seen = color[ys, xs].astype(np.float32)
    estimate = inner + a * (seen - outer + a * (outer - inner))
    estimate += np.float32(0.5)
    out[part][ys, xs] = np.clip(estimate, 0, 255, out=estimate).astype(np.uint8)
    return out


def _fuse(color: _Floats, alpha: Alpha) -> tuple[_Floats, _Floats]:
    """Local averages of foreground and background colour, H×W×3 float32 each."""
    side = max(color.shape[:2])
    front, back = color, color
    inner, outer = color, color
    a = alpha[..., None]
    tie = np.float32(0.0)
    # nearly opaque and nearly empty pixels show their colours least mixed
    seen, unseen = a**_PURITY, (1 - a) ** _PURITY
    for part in _RADII:
        k = 2 * max(1, round(part * side)) + 1
        # a little of the wider average stands in where the narrower one sees nothing
        inner = _weighted_mean(front, seen, k, inner, tie)
        outer = _weighted_mean(back, unseen, k, outer, tie)
        # what the mix lacks, F + a (I - a F - (1 - a) B), clipped to what a pixel can be
        front = np.clip(inner + a * (color - outer + a * (outer - inner)), 0, 255)
        back = outer
        tie = _TIE
    return inner, outer


def _weighted_mean(color: _Floats, weight: _Floats, side: int, wider: _Floats, tie: np.float32) -> _Floats:
    """The box mean of H×W×3 ``color`` by H×W×1 ``weight``, with ``tie`` of the ``wider`` mean mixed in."""
    both = np.empty((*color.shape[:2], 4), np.float32)
    np.multiply(color, weight, out=both[..., :3])
    both[..., 3:] = weight
    means = np.asarray(cv2.blur(both, (side, side)), np.float32)
    total = means[..., :3]
    if tie:
        total = total + tie * wider
    return np.asarray(total / (means[..., 3:] + (tie + _TINY)), np.float32)


def _sample(small: _Floats, size: tuple[int, int], ys: NDArray[np.intp], xs: NDArray[np.intp]) -> _Floats:
    """Values of ``small``, enlarged bilinearly to ``size``, at N places: N×3."""
    width, height = size
    if small.shape[:2] == (height, width):
        return small[ys, xs]
    fx, fy = small.shape[1] / width, small.shape[0] / height
    mx = ((xs + 0.5) * fx - 0.5).astype(np.float32)
    my = ((ys + 0.5) * fy - 0.5).astype(np.float32)
    rows = 1 << 14  # cv2.remap takes at most 32767 in one direction
    parts = [
        cv2.remap(
            small, mx[None, k : k + rows], my[None, k : k + rows], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )[0]
        for k in range(0, len(mx), rows)
    ]
    return np.concatenate(parts)
