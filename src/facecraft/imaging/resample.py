"""One resampling from source pixels to output pixels, and the plain resizes.

Coordinates follow :mod:`facecraft.imaging.geometry`: pixel centres are whole numbers, so resizing by ``s`` is
``out = (x + 0.5) * s - 0.5`` and a picture covers -0.5 .. W-0.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from facecraft.imaging.geometry import Box, Size, Transform
from facecraft.imaging.image import Alpha, Pixels

_T = TypeVar("_T", np.uint8, np.float32)

_TAPS = 3  # source pixels a cubic kernel needs beside the one it is centred on, with one to spare


@dataclass(frozen=True, slots=True, eq=False)
class Warped:
    """A warped picture: ``pixels`` (H×W×3|4 uint8) and ``inside``, how much of each output pixel the source covers.

    Where ``inside`` is below 1 the pixels repeat the border of the source, so that nothing dark bleeds in when
    they are composed on a background.
    """

    pixels: Pixels
    inside: Alpha


def warp(pixels: Pixels, transform: Transform, size: Size) -> Warped:
    """Resample ``pixels`` (H×W×3|4 uint8) once through ``transform`` (source to output) into ``size``.

    Minifying averages over the area an output pixel covers (whole-number area reduction of the needed part, then
    a Gaussian for the rest, then a cubic kernel); magnifying is cubic. RGBA is weighted by alpha on the way.
    """
    inside = coverage(Size(int(pixels.shape[1]), int(pixels.shape[0])), transform, size)
    if pixels.shape[2] == 3:
        return Warped(_warped(pixels, transform, size), inside)
    alpha = pixels[:, :, 3:].astype(np.float32)
    weighted = np.concatenate([pixels[:, :, :3] * (alpha / 255), alpha], axis=2)
    out = _warped(weighted.astype(np.float32), transform, size)
    out_alpha = np.clip(out[:, :, 3:], 0, 255)
    colors = out[:, :, :3] * (255 / np.maximum(out_alpha, 1e-3))
    return Warped(np.rint(np.clip(np.concatenate([colors, out_alpha], axis=2), 0, 255)).astype(np.uint8), inside)


def glance(pixels: NDArray[_T], transform: Transform, size: Size) -> NDArray[_T]:
    """Resample ``pixels`` (H×W×3 uint8, or a rough H×W float32 mask) for a network: a fifth of the time of :func:`warp`.

    The part that is needed is reduced by the nearest whole number, which is quick and exact, and then turned with a
    linear kernel. What lies outside the source repeats its border.
    """
    source = Size(int(pixels.shape[1]), int(pixels.shape[0]))
    seen = transform.inverse().box(Box(-1, -1, size.width, size.height)).clipped(source)
    x1, y1 = math.floor(seen.x1), math.floor(seen.y1)
    x2, y2 = max(x1 + 1, math.ceil(seen.x2)), max(y1 + 1, math.ceil(seen.y2))
    part = pixels[min(y1, source.height - 1) : y2, min(x1, source.width - 1) : x2]
    x1, y1 = min(x1, source.width - 1), min(y1, source.height - 1)
    to_part = Transform(np.array([[1.0, 0.0, x1], [0.0, 1.0, y1]])).then(transform)
    factor = round(1 / transform.scale) if transform.scale < 1 else 1
    if factor > 1:
        small = (max(1, part.shape[1] // factor), max(1, part.shape[0] // factor))
        part = part[: max(1, small[1] * factor), : max(1, small[0] * factor)]
        part = np.asarray(cv2.resize(part, small, interpolation=cv2.INTER_AREA), pixels.dtype)
        offset = (factor - 1) / 2
        to_part = Transform(np.array([[factor, 0.0, offset], [0.0, factor, offset]])).then(to_part)
    return _affine(np.ascontiguousarray(part), to_part.inverse().matrix, size, cv2.INTER_LINEAR)


def warp_mask(alpha: Alpha, transform: Transform, size: Size) -> Alpha:
    """Resample ``alpha`` (H×W float32, 0..1) like :func:`warp`; outside the source it is 0."""
    out = _warped(alpha, transform, size)
    out *= coverage(Size(int(alpha.shape[1]), int(alpha.shape[0])), transform, size)
    return np.clip(out, 0, 1, out=out)


def warp_field(values: NDArray[np.float32], transform: Transform, size: Size) -> NDArray[np.float32]:
    """Resample H×W×C float32 ``values`` of any range like :func:`warp`; outside the source its border is repeated."""
    return _warped(values, transform, size)


def coverage(source: Size, transform: Transform, size: Size) -> Alpha:
    """How much (0..1 float32, ``size``) of each output pixel a picture of ``source`` covers, soft over one pixel."""
    back = transform.inverse().matrix
    out = np.ones((size.height, size.width), np.float32)
    columns = np.arange(size.width, dtype=np.float32)
    rows = np.arange(size.height, dtype=np.float32)[:, None]
    for axis, length in ((0, source.width), (1, source.height)):
        a, b, c = (float(v) for v in back[axis])
        step = math.hypot(a, b)  # source pixels per output pixel across this edge
        ends = [a * x + b * y + c for x in (0, size.width - 1) for y in (0, size.height - 1)]
        if min(ends) >= -0.5 + step and max(ends) <= length - 0.5 - step:
            continue
        at = np.float32(a) * columns + (np.float32(b) * rows + np.float32(c))
        # np.minimum of the signed distances to both edges, in output pixels; half a pixel either way is the ramp.
        distance = (length / 2 - np.abs(at - np.float32((length - 1) / 2))) / np.float32(step)
        out *= np.clip(distance + np.float32(0.5), 0, 1)
    return out


def _warped(source: NDArray[_T], transform: Transform, size: Size) -> NDArray[_T]:
    """Warp any H×W or H×W×C uint8 or float32 array, repeating its border."""
    back = transform.inverse()
    corners = back(
        np.array([[0, 0], [size.width - 1, 0], [0, size.height - 1], [size.width - 1, size.height - 1]], np.float64)
    )
    # Source pixels per output pixel in the direction in which it shrinks most (the largest singular value).
    shrink = float(np.linalg.norm(back.matrix[:, :2], 2))
    factor = max(1, math.floor(shrink + 1e-6))
    height, width = source.shape[:2]
    reach = (_TAPS + 2) * factor + math.ceil(2 * shrink)
    x1, x2 = _span(float(corners[:, 0].min()) - reach, float(corners[:, 0].max()) + reach, width)
    y1, y2 = _span(float(corners[:, 1].min()) - reach, float(corners[:, 1].max()) + reach, height)
    part = source[y1:y2, x1:x2]
    if factor > 1:
        # Whole-number reduction is exact; the part is filled up with its border to a multiple of the factor.
        part_h, part_w = part.shape[:2]
        down, right = -part_h % factor, -part_w % factor
        if down or right:
            part = np.asarray(cv2.copyMakeBorder(part, 0, down, 0, right, cv2.BORDER_REPLICATE), source.dtype)
        target = (part.shape[1] // factor, part.shape[0] // factor)
        part = np.asarray(cv2.resize(part, target, interpolation=cv2.INTER_AREA), source.dtype)
    rest = shrink / factor
    if rest > 1.02:
        # What the whole-number reduction left: a Gaussian that widens a pixel's spread (variance 1/12 of its side
        # squared for a box, about 1/4 for a cubic kernel's main lobe) to that of the larger output pixel.
        sigma = 0.5 * math.sqrt(rest * rest - 1)
        part = np.asarray(cv2.GaussianBlur(part, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), source.dtype)
    # From reduced coordinates to output coordinates: centres of reduced pixels lie (factor - 1) / 2 further in.
    offset = (factor - 1) / 2
    reduced = Transform(np.array([[factor, 0, x1 + offset], [0, factor, y1 + offset]], np.float64)).then(transform)
    inverse = reduced.inverse().matrix
    part = np.ascontiguousarray(part)
    warped = _affine(part, inverse, size, cv2.INTER_CUBIC)
    if shrink < 0.8:
        # Nearer to 1 its ringing stays below what is seen, and a second pass would cost as much as the first.
        # OpenCV's cubic kernel (a = -0.75) overshoots a step by a tenth. Mixed with the linear one it comes close to
        # a = -0.5 (Keys 1981), which is as sharp to the eye and hardly rings.
        soft = _affine(part, inverse, size, cv2.INTER_LINEAR)
        return np.asarray(cv2.addWeighted(warped, 0.6, soft, 0.4, 0), source.dtype)
    return warped


def _affine(part: NDArray[_T], inverse: NDArray[np.float64], size: Size, kernel: int) -> NDArray[_T]:
    out = cv2.warpAffine(
        part,
        inverse,
        (size.width, size.height),
        flags=kernel | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(out, part.dtype)


def _span(low: float, high: float, length: int) -> tuple[int, int]:
    """The whole pixels from ``low`` to ``high`` within 0..length; at least one, also when all of it lies outside."""
    start = min(max(math.floor(low), 0), length - 1)
    return start, max(min(math.ceil(high) + 1, length), start + 1)


# --- plain resizes -------------------------------------------------------------------------------------------------


def resize(pixels: NDArray[_T], size: Size) -> NDArray[_T]:
    """Resize an H×W or H×W×C uint8 or float32 array to exactly ``size``: by area when smaller, cubic when larger."""
    height, width = pixels.shape[:2]
    if (width, height) == (size.width, size.height):
        return pixels
    smaller = size.width <= width and size.height <= height
    out = cv2.resize(pixels, (size.width, size.height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return np.asarray(out, pixels.dtype)


def resize_transform(source: Size, target: Size) -> Transform:
    """The map from pixels of ``source`` to those of ``target`` that :func:`resize` performs."""
    sx, sy = target.width / source.width, target.height / source.height
    return Transform(np.array([[sx, 0, sx / 2 - 0.5], [0, sy, sy / 2 - 0.5]], np.float64))


def fit(pixels: NDArray[_T], size: Size, *, enlarge: bool = False) -> NDArray[_T]:
    """Resize to the largest picture of the same shape that lies within ``size``; smaller ones stay unless ``enlarge``."""
    height, width = pixels.shape[:2]
    scale = min(size.width / width, size.height / height)
    if scale >= 1 and not enlarge:
        return pixels
    return resize(pixels, Size(max(1, round(width * scale)), max(1, round(height * scale))))


def cover(pixels: NDArray[_T], size: Size) -> NDArray[_T]:
    """Resize to fill ``size`` completely, cutting equally from both ends of the longer side."""
    height, width = pixels.shape[:2]
    ratio = size.width / size.height
    cut_w, cut_h = min(width, max(1, round(height * ratio))), min(height, max(1, round(width / ratio)))
    x, y = (width - cut_w) // 2, (height - cut_h) // 2
    return resize(np.ascontiguousarray(pixels[y : y + cut_h, x : x + cut_w]), size)


def letterbox(
    pixels: Pixels, size: Size, *, fill: tuple[int, int, int] = (0, 0, 0), centered: bool = True
) -> tuple[Pixels, Transform]:
    """Fit H×W×3 ``pixels`` into ``size``, fill the rest, and return also the map from source to output pixels.

    The picture lies in the middle, or at the top left when not ``centered``.
    """
    inner = fit(pixels, size, enlarge=True)
    height, width = inner.shape[:2]
    x, y = ((size.width - width) // 2, (size.height - height) // 2) if centered else (0, 0)
    out = np.empty((size.height, size.width, 3), np.uint8)
    out[:] = fill
    out[y : y + height, x : x + width] = inner
    scaled = resize_transform(Size(int(pixels.shape[1]), int(pixels.shape[0])), Size(width, height))
    return out, scaled.then(Transform(np.array([[1.0, 0.0, x], [0.0, 1.0, y]])))
