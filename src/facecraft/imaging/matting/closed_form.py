"""Closed-form matting inside a narrow band.

Levin, Lischinski and Weiss, "A Closed-Form Solution to Natural Image Matting", TPAMI 2008: in every 3×3 window the
alpha is a linear function of the colour, which gives a quadratic form whose matrix is the matting Laplacian. Only
windows that touch an unknown pixel are assembled; the system is solved with preconditioned conjugate gradients
from the coarse alpha, which also enters as a weak prior where the colours say nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from facecraft.imaging.image import Alpha, Pixels

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_RADIUS = 1
_SIDE = 2 * _RADIUS + 1
_REACH = 4 * _RADIUS + 1  # two pixels of one window are at most this wide apart, counting both
Mask: TypeAlias = NDArray[np.bool_]
_Floats: TypeAlias = NDArray[np.float32]


def solve(
    pixels: Pixels,
    known: Mask,
    start: Alpha,
    *,
    prior: NDArray[np.float32],
    epsilon: float,
    iterations: int,
    tolerance: float,
) -> Alpha:
    """Return ``start`` with the unknown pixels replaced by the closed-form alpha.

    ``pixels`` H×W×3 RGB uint8; ``known`` H×W, true where ``start`` (H×W float32 in 0..1) is certain; ``prior``
    (H×W float32) pulls unknown pixels towards ``start``; ``epsilon`` smooths windows of one colour (colours in 0..1); at most
    ``iterations`` steps, fewer once the residual has fallen by ``tolerance``. Values are clipped to 0..1.
    """
    height, width = known.shape
    if height < _SIDE or width < _SIDE or known.all():
        return start
    windows, weights = _affinities(pixels, known, epsilon)
    if len(windows) == 0:
        return start
    unknown = np.flatnonzero(~known)
    matrix, right = _assemble(windows, weights, known, unknown, start)
    inner, pull = start.ravel()[unknown], prior.ravel()[unknown]
    diagonal = matrix.diagonal() + pull
    right += pull * inner
    matrix.setdiag(diagonal)
    solved = _conjugate_gradients(matrix, right, inner, iterations=iterations, tolerance=tolerance)
    if not np.isfinite(solved).all():  # seen with the linear algebra of an emulated processor
        return start
    out = start.copy()
    out.ravel()[unknown] = np.clip(solved, 0.0, 1.0)
    return out


def _affinities(pixels: Pixels, known: Mask, epsilon: float) -> tuple[NDArray[np.intp], _Floats]:
    """The N×9 flat pixel indices of the windows that hold an unknown pixel, and their N×9×9 affinities."""
    width = known.shape[1]
    count = _SIDE * _SIDE
    touched = cv2.dilate((~known).astype(np.uint8), np.ones((_SIDE, _SIDE), np.uint8))[
        _RADIUS:-_RADIUS, _RADIUS:-_RADIUS
    ]
    ys, xs = np.nonzero(touched)
    offsets = (np.arange(_SIDE)[:, None] * width + np.arange(_SIDE)[None, :]).ravel()
    windows = (ys * width + xs)[:, None] + offsets[None, :]
    colors = pixels.reshape(-1, 3)[windows].astype(np.float32) / np.float32(255)
    colors -= colors.mean(axis=1, keepdims=True)
    covariance = colors.transpose(0, 2, 1) @ colors / np.float32(count)
    covariance += np.float32(epsilon / count) * np.eye(3, dtype=np.float32)
    inverse = _invert(covariance)
    affinities = (colors @ inverse) @ colors.transpose(0, 2, 1)
    affinities += np.float32(1)
    affinities /= np.float32(count)
    return windows, affinities


def _invert(m: _Floats) -> _Floats:
    """Inverse of N symmetric positive 3×3 matrices by cofactors, in double precision."""
    a, b, c = (m[:, 0, k].astype(np.float64) for k in range(3))
    d, e, f = m[:, 1, 1].astype(np.float64), m[:, 1, 2].astype(np.float64), m[:, 2, 2].astype(np.float64)
    out = np.empty(m.shape, np.float32)
    determinant = a * (d * f - e * e) - b * (b * f - c * e) + c * (b * e - c * d)
    scale = 1.0 / determinant
    out[:, 0, 0] = (d * f - e * e) * scale
    out[:, 0, 1] = out[:, 1, 0] = (c * e - b * f) * scale
    out[:, 0, 2] = out[:, 2, 0] = (b * e - c * d) * scale
    out[:, 1, 1] = (a * f - c * c) * scale
    out[:, 1, 2] = out[:, 2, 1] = (b * c - a * e) * scale
    out[:, 2, 2] = (a * d - b * b) * scale
    return out


def _assemble(
    windows: NDArray[np.intp], affinities: _Floats, known: Mask, unknown: NDArray[np.intp], start: Alpha
) -> tuple[csr_matrix, _Floats]:
    """The Laplacian between unknown pixels (a row holds its 25 neighbours) and the right side from known ones."""
    from scipy.sparse import csr_matrix  # noqa: PLC0415  (scipy costs 100 ms to import)

    height, width = known.shape
    size = len(unknown)
    row_of = np.full(height * width, size, np.int32)  # known pixels share one row that is thrown away
    row_of[unknown] = np.arange(size, dtype=np.int32)
    rows = row_of[windows]
    band = np.zeros((_REACH * _REACH, size + 1), np.float32)
    places = [(k // _SIDE, k % _SIDE) for k in range(_SIDE * _SIDE)]
    centre = (_REACH * _REACH) // 2
    for j, (yj, xj) in enumerate(places):
        target = rows[:, j]
        # A pixel is the j-th of one window only, so plain fancy addition loses nothing (but for the shared row).
        for k, (yk, xk) in enumerate(places):
            slot = centre + (yk - yj) * _REACH + (xk - xj)
            band[slot, target] -= affinities[:, j, k]
        band[centre, target] += affinities[:, j, :].sum(axis=1)
    band = band[:, :size]
    ys, xs = np.divmod(unknown, width)
    reach = np.arange(_REACH) - _REACH // 2
    ny = np.clip(ys[None] + np.repeat(reach, _REACH)[:, None], 0, height - 1)
    nx = np.clip(xs[None] + np.tile(reach, _REACH)[:, None], 0, width - 1)
    neighbours = ny * width + nx  # clipped neighbours have weight 0: no window reaches over the border
    columns = row_of[neighbours]
    outside = columns == size
    right = -np.where(outside, band * start.ravel()[neighbours], 0).sum(axis=0)
    values = np.where(outside, 0, band).T.ravel()
    columns[outside] = 0
    starts = np.arange(0, size * _REACH * _REACH + 1, _REACH * _REACH, dtype=np.int32)
    matrix = csr_matrix((values, columns.T.ravel(), starts), shape=(size, size))
    return matrix, right.astype(np.float32)


def _conjugate_gradients(
    matrix: csr_matrix, right: _Floats, x: _Floats, *, iterations: int, tolerance: float
) -> _Floats:
    """Jacobi-preconditioned conjugate gradients for ``matrix x = right`` from ``x``."""
    scale = np.float32(1) / np.maximum(matrix.diagonal(), np.float32(1e-6))
    x = x.copy()
    residual = right - matrix @ x
    z = scale * residual
    direction = z.copy()
    energy = float(residual @ z)
    goal = energy * tolerance * tolerance
    for _ in range(iterations):
        if energy <= goal or energy <= 1e-12:
            break
        product = matrix @ direction
        curvature = float(direction @ product)
        if curvature <= 0:
            break
        step = np.float32(energy / curvature)
        x += step * direction
        residual -= step * product
        np.multiply(scale, residual, out=z)
        previous, energy = energy, float(residual @ z)
        direction *= np.float32(energy / previous)
        direction += z
    return x
