"""Laying what a network changed in a crop over the picture it was cut from, and nothing else."""

from __future__ import annotations

import math

import numpy as np

from facecraft.imaging.compositing import color_matched
from facecraft.imaging.geometry import Box, Size, Transform
from facecraft.imaging.image import Alpha, Pixels
from facecraft.imaging.resample import warp_field, warp_mask


def lay_change(
    frame: Pixels,
    before: Pixels,
    after: Pixels,
    to_frame: Transform,
    mask: Alpha,
    *,
    match_color: float = 0.0,
    out: Pixels | None = None,
) -> Pixels:
    """Add the difference between two crops to the part of ``frame`` (H×W×3) that they show.

    ``before`` was cut out of ``frame`` and ``after`` made of it (both h×w×3); ``to_frame`` maps their pixels to those of
    ``frame`` and ``mask`` (h×w float32, 0..1) says how much of the difference counts. Unlike pasting, this costs the frame
    nothing where nothing was changed, and detail finer than the crop's pixels stays. ``match_color`` 0..1 first moves mean
    and spread of colour of ``after`` towards those of ``before``. ``out`` (may be ``frame`` itself, if writeable) receives
    the result without a copy of the frame.
    """
    result = frame.copy() if out is None else out
    if out is not None and out is not frame:
        np.copyto(out, frame)
    height, width = frame.shape[:2]
    around = to_frame.box(Box(-1, -1, after.shape[1], after.shape[0])).clipped(Size(width, height))
    x1, y1 = math.floor(around.x1), math.floor(around.y1)
    x2, y2 = min(width, math.ceil(around.x2) + 1), min(height, math.ceil(around.y2) + 1)
    if x2 <= x1 or y2 <= y1:
        return result
    if match_color > 0:
        after = color_matched(after, before, mask, match_color)
    difference = after.astype(np.float32)
    difference -= before
    if not difference.any():
        return result
    part = Size(x2 - x1, y2 - y1)
    place = to_frame.then(Transform(np.array([[1.0, 0.0, -x1], [0.0, 1.0, -y1]])))
    levels = warp_field(difference, place, part)
    levels *= warp_mask(mask, place, part)[:, :, None]
    levels += frame[y1:y2, x1:x2]
    np.rint(levels, out=levels)
    result[y1:y2, x1:x2] = np.clip(levels, 0, 255, out=levels).astype(np.uint8)
    return result
