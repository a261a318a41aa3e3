"""Carry an alpha from a small picture to a large one along the picture's own edges.

In a small window alpha is a linear function of the colour; the coefficients of that function are smooth and may be
enlarged bilinearly, the colours they are applied to are the full-size ones. He, Sun and Tang, "Guided Image
Filtering", TPAMI 2013, in the colour form, with the enlargement of He and Sun, "Fast Guided Filter", arXiv 1505.00996.
"""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from facecraft.imaging.image import Alpha, Pixels

_T = TypeVar("_T", np.uint8, np.float32)

_RADIUS = 1
_EPSILON = 1e-4  # variance of colours in 0..1 below which a window counts as flat
_FEATHER = 0.004  # closer than this to 0 or 1 an alpha is taken as certain
_SNAP = 1 / 512
_ROWS = 256  # rows enlarged at once: bounds the memory of a 12-megapixel frame


def upsample(alpha: Alpha, guide: Pixels, pixels: Pixels) -> Alpha:
    """Return ``alpha`` (h×w float32, 0..1), solved on ``guide`` (h×w×3 RGB), at the size of ``pixels`` (H×W×3 RGB).

    ``guide`` is ``pixels`` scaled down. Where ``alpha`` is 0 or 1 all around it stays so exactly.
    """
    height, width = pixels.shape[:2]
    h, w = alpha.shape
    if (h, w) == (height, width):
        return alpha
    plain = np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    mixed = ((alpha > _FEATHER) & (alpha < 1 - _FEATHER)).astype(np.uint8)
    # a hard edge between two certain pixels is mixed too
    low = cv2.erode(alpha, np.ones((3, 3), np.uint8))
    high = cv2.dilate(alpha, np.ones((3, 3), np.uint8))
    mixed |= (high - low > _FEATHER).astype(np.uint8)
    box = cv2.boundingRect(mixed)
    if box[2] == 0 or box[3] == 0:
        return plain
    coefficients = _linear_model(alpha, guide)
    out = plain
    scale = height / h
    for top in range(max(0, int((box[1] - 1) * scale)), min(height, int((box[1] + box[3] + 1) * scale) + 1), _ROWS):
        bottom = min(top + _ROWS, height)
        band = _rows(mixed, (width, height), top, bottom)
        ys, xs = np.nonzero(band)
        if len(ys) == 0:
            continue
        model = _rows(coefficients, (width, height), top, bottom)[ys, xs]
        color = pixels[top + ys, xs].astype(np.float32) / np.float32(255)
        out[top + ys, xs] = np.einsum("nk,nk->n", model[:, :3], color) + model[:, 3]
    # differences no 8-bit picture can show: certain pixels are exactly 0 and 1
    out[out < _SNAP] = 0
    out[out > 1 - _SNAP] = 1
    return out


def _rows(small: NDArray[_T], size: tuple[int, int], top: int, bottom: int) -> NDArray[_T]:
    """Rows ``top`` to ``bottom`` of ``small`` enlarged bilinearly to ``size`` (width, height)."""
    width, height = size
    fx, fy = width / small.shape[1], height / small.shape[0]
    # output pixel (x, y) shows source ((x + 0.5) / f - 0.5), the rule of cv2.resize
    matrix = np.array([[1 / fx, 0, 0.5 / fx - 0.5], [0, 1 / fy, (top + 0.5) / fy - 0.5]])
    flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_NEAREST if small.dtype == np.uint8 else cv2.INTER_LINEAR)
    out = cv2.warpAffine(small, matrix, (width, bottom - top), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, small.dtype)


def _linear_model(alpha: Alpha, guide: Pixels) -> NDArray[np.float32]:
    """The h×w×4 coefficients (r, g, b, constant) of alpha as a linear function of the colour around each pixel."""
    side = (2 * _RADIUS + 1, 2 * _RADIUS + 1)

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(values, side, borderType=cv2.BORDER_REPLICATE), np.float32)

    color = guide.astype(np.float32) / np.float32(255)
    mu, mean_alpha = mean(color), mean(alpha)
    covariance = mean(color * alpha[..., None]) - mu * mean_alpha[..., None]
    r, g, b = color[..., 0], color[..., 1], color[..., 2]
    m0, m1, m2 = mu[..., 0], mu[..., 1], mu[..., 2]
    e = np.float32(_EPSILON)
    rr, rg, rb = mean(r * r) - m0 * m0 + e, mean(r * g) - m0 * m1, mean(r * b) - m0 * m2
    gg, gb, bb = mean(g * g) - m1 * m1 + e, mean(g * b) - m1 * m2, mean(b * b) - m2 * m2 + e
    c0, c1, c2 = covariance[..., 0], covariance[..., 1], covariance[..., 2]
    i00, i01, i02 = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    i11, i12, i22 = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    scale = 1 / np.maximum(rr * i00 + rg * i01 + rb * i02, np.float32(1e-14))
    a = np.stack(
        [
            (i00 * c0 + i01 * c1 + i02 * c2) * scale,
            (i01 * c0 + i11 * c1 + i12 * c2) * scale,
            (i02 * c0 + i12 * c1 + i22 * c2) * scale,
        ],
        axis=-1,
    )
    constant = mean_alpha - np.einsum("hwk,hwk->hw", a, mu)
    return mean(np.concatenate([a, constant[..., None]], axis=-1))
