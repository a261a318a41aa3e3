"""Laying pictures over each other: alpha over, backgrounds, hidden pixels, pasting a crop back.

Blending is done on the encoded (gamma) values, as picture editors and browsers do: an edge then looks the same here
as where the transparent PNG is used.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from facecraft.imaging.geometry import Box, Size, Transform
from facecraft.imaging.image import Alpha, Pixels
from facecraft.imaging.resample import cover, resize, warp, warp_mask

_BLUR_SIDE = 192
"""A blurred background has no detail: it is made with this short side and enlarged."""


def over(foreground: Pixels, alpha: Alpha, background: Pixels) -> Pixels:
    """Lay ``foreground`` over ``background`` (both H×W×3 uint8) by ``alpha`` (H×W float32); values are rounded."""
    # In rows of a few hundred kilobytes the float32 copies stay in the cache whatever the picture's size.
    height, width = alpha.shape
    out = np.empty_like(foreground)
    step = max(1, (1 << 17) // width)
    for y in range(0, height, step):
        part = np.s_[y : y + step]
        below = background[part].astype(np.float32)
        mixed = foreground[part].astype(np.float32)
        mixed -= below
        mixed *= alpha[part, :, None]
        mixed += below
        mixed += np.float32(0.5)
        out[part] = mixed.astype(np.uint8)
    return out


def cutout(pixels: Pixels, alpha: Alpha) -> Pixels:
    """Return H×W×3 ``pixels`` with ``alpha`` as RGBA, straight; colour under alpha 0 is zeroed."""
    opaque = np.rint(alpha * np.float32(255)).astype(np.uint8)
    return zero_hidden(np.asarray(cv2.merge([*cv2.split(pixels), opaque]), np.uint8))


def zero_hidden(rgba: Pixels) -> Pixels:
    """Return H×W×4 ``rgba`` with the colour of wholly transparent pixels set to 0: what was cut away is gone."""
    rgba = np.ascontiguousarray(rgba)
    return np.asarray(cv2.bitwise_and(rgba, rgba, mask=rgba[:, :, 3]), np.uint8)


def without_hidden(rgba: Pixels, shade: int = 128) -> Pixels:
    """Return H×W×4 ``rgba`` with a plain grey where it is wholly transparent, so that nobody looks at what is hidden."""
    seen = rgba.copy()
    seen[rgba[:, :, 3] == 0, :3] = shade
    return seen


# --- backgrounds ---------------------------------------------------------------------------------------------------


def solid(size: Size, color: tuple[int, int, int]) -> Pixels:
    """A picture of ``size`` in one colour, red first."""
    out = np.empty((size.height, size.width, 3), np.uint8)
    out[:] = color
    return out


def backdrop(pixels: Pixels, size: Size) -> Pixels:
    """Another picture as a background: made to fill ``size``, cut equally on both sides, transparency ignored."""
    return cover(np.ascontiguousarray(pixels[:, :, :3]), size)


def blurred(pixels: Pixels, alpha: Alpha, *, strength: float = 0.5) -> Pixels:
    """The picture's own background, blurred, with nothing of the subject's light in it.

    ``pixels`` H×W×3 and ``alpha`` of the subject. Where the subject stands, the background is continued from around it:
    colours are averaged with weight 1 - alpha only, over ever larger neighbourhoods until some is found (normalised
    convolution, Knutsson and Westin 1993, on a pyramid). ``strength`` 0..1 is a blur of 0.4 to 6 percent of the short
    side (standard deviation).
    """
    height, width = alpha.shape
    # Every n-th pixel first: what that misses, the blur would not have shown.
    step = max(1, min(width, height) // (2 * _BLUR_SIDE))
    colors = pixels[::step, ::step].astype(np.float32)
    # Pixels at the rim hold some of the subject's colour: those that are half subject or more count for nothing.
    weight = np.square(np.clip(1 - 2 * alpha[::step, ::step], 0, 1)).astype(np.float32)
    if not weight.any():
        weight = np.ones_like(weight)
    scale = min(1.0, _BLUR_SIDE / min(weight.shape))
    small = Size(max(1, round(weight.shape[1] * scale)), max(1, round(weight.shape[0] * scale)))
    reached = resize(weight, small)
    carried = resize(colors * weight[..., None], small)
    filled = _filled((carried / np.maximum(reached, np.float32(1e-6))[..., None]).astype(np.float32), reached)
    sigma = (0.004 + 0.056 * strength) * min(small.width, small.height)
    soft = cv2.GaussianBlur(filled, (0, 0), max(sigma, 0.3), borderType=cv2.BORDER_REPLICATE)
    large = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.rint(np.clip(large, 0, 255)).astype(np.uint8)


def _filled(colors: NDArray[np.float32], weight: Alpha) -> NDArray[np.float32]:
    """Colours where ``weight`` is 1, and the continued surroundings where it is 0 (push-pull)."""
    height, width = weight.shape
    if height <= 2 or width <= 2:
        total = float(weight.sum())
        mean = (colors * weight[..., None]).sum((0, 1)) / total if total > 1e-6 else colors.mean((0, 1))
        rest: NDArray[np.float32] = np.broadcast_to(mean, colors.shape).astype(np.float32)
    else:
        half = ((width + 1) // 2, (height + 1) // 2)
        carried = cv2.resize(colors * weight[..., None], half, interpolation=cv2.INTER_AREA)
        reached = np.asarray(cv2.resize(weight, half, interpolation=cv2.INTER_AREA), np.float32)
        averaged = (carried / np.maximum(reached, np.float32(1e-6))[..., None]).astype(np.float32)
        coarse = _filled(averaged, np.minimum(reached * 2, 1).astype(np.float32))
        rest = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(rest + (colors - rest) * weight[..., None], np.float32)


# --- pasting back --------------------------------------------------------------------------------------------------


def feather(mask: Alpha, width: float) -> Alpha:
    """Soften the edge of ``mask`` (H×W float32) over ``width`` pixels, wholly inside it.

    The result is 0 wherever the mask is 0 and along the picture's border, so a pasted crop has no seam.
    """
    half = max(1, round(width / 2))
    padded = cv2.copyMakeBorder(mask, half, half, half, half, cv2.BORDER_CONSTANT, value=0)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * half + 1, 2 * half + 1))
    core = cv2.erode(padded, kernel)
    # Two box means have finite reach, unlike a Gaussian: together exactly the width that was eroded.
    side = max(1, half // 2 * 2 + 1)
    soft = cv2.blur(cv2.blur(core, (side, side)), (side, side))
    inner = np.asarray(soft, np.float32)[half:-half, half:-half]
    return np.minimum(inner, mask)


def paste_back(
    frame: Pixels,
    crop: Pixels,
    to_frame: Transform,
    mask: Alpha,
    *,
    match_color: float = 0.0,
    out: Pixels | None = None,
) -> Pixels:
    """Lay an aligned ``crop`` (h×w×3) back into ``frame`` (H×W×3) through ``to_frame`` (crop to frame pixels).

    ``mask`` (h×w float32, crop pixels) says how much of the crop counts; see :func:`feather`. ``match_color`` 0..1
    moves the crop's mean and spread of colour under the mask towards those of the frame. Only the pixels under the crop
    are worked on; ``out`` (may be ``frame`` itself, if writeable) receives the result without a copy of the frame.
    """
    result = frame.copy() if out is None else out
    if out is not None and out is not frame:
        np.copyto(out, frame)
    height, width = frame.shape[:2]
    around = to_frame.box(Box(-1, -1, crop.shape[1], crop.shape[0])).clipped(Size(width, height))
    x1, y1 = math.floor(around.x1), math.floor(around.y1)
    x2, y2 = min(width, math.ceil(around.x2) + 1), min(height, math.ceil(around.y2) + 1)
    if x2 <= x1 or y2 <= y1:
        return result
    part = Size(x2 - x1, y2 - y1)
    place = to_frame.then(Transform(np.array([[1.0, 0.0, -x1], [0.0, 1.0, -y1]])))
    moved = warp(crop, place, part).pixels
    weight = warp_mask(mask, place, part)
    below = np.ascontiguousarray(frame[y1:y2, x1:x2])
    if match_color > 0:
        moved = color_matched(moved, below, weight, match_color)
    result[y1:y2, x1:x2] = over(moved, weight, below)
    return result


def color_matched(pixels: Pixels, target: Pixels, weight: Alpha, strength: float) -> Pixels:
    """Move mean and spread of ``pixels`` towards those of ``target``, channel by channel in Lab (Reinhard et al. 2001).

    Both H×W×3 uint8; only what lies under ``weight`` (H×W float32, 0..1) is measured. ``strength`` 0..1. What is alike
    already is returned as it is.
    """
    total = float(weight.sum())
    if total < 1:
        return pixels
    source_lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float32)
    target_lab = cv2.cvtColor(target, cv2.COLOR_RGB2LAB).astype(np.float32)
    w = weight[..., None] / np.float32(total)
    source_mean, target_mean = (source_lab * w).sum((0, 1)), (target_lab * w).sum((0, 1))
    source_spread = np.sqrt((np.square(source_lab - source_mean) * w).sum((0, 1)))
    target_spread = np.sqrt((np.square(target_lab - target_mean) * w).sum((0, 1)))
    gain = np.clip((target_spread + 1) / (source_spread + 1), 0.8, 1.25)
    gain, shift = 1 + (gain - 1) * strength, (target_mean - source_mean) * strength
    if float(np.abs(gain - 1).max()) < 0.02 and float(np.abs(shift).max()) < 0.5:
        return pixels  # already alike: do not pay with a rounding through Lab
    matched = (source_lab - source_mean) * gain + source_mean + shift
    lab = np.rint(np.clip(matched, 0, 255)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)
