"""The colour of the light in a portrait, estimated without taking skin for grey.

Grey-world and white-patch methods pull skin towards grey, because in a portrait most pixels are skin. Here only
pixels that can be grey are asked: not the face, nothing of the colour of skin, nothing strongly coloured, the brighter
the better. Chroma is (ln R/G, ln B/G) in linear light, in which a change of light is a shift.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from facecraft.imaging.image import Alpha, Pixels

_REACH = 0.45
"""Chroma beyond which nothing is taken for grey under coloured light (tungsten against daylight is about 0.7)."""

_LARGEST = 0.30
"""The largest shift of chroma that is ever applied: gains of about ±30 %."""

_UNSEEN = 0.04
"""Shift below which light counts as neutral; larger ones are shortened by it, so good pictures stay as they are."""

_SKIN_RED = (0.13, 0.75)
_SKIN_BLUE = (-0.75, -0.04)
"""Where human skin lies in chroma under daylight, all tones: always redder than green, bluer never. From the
sRGB values of the Monk and Fitzpatrick swatches, widened."""


def gains(pixels: Pixels, weight: Alpha, face: Alpha | None, strength: float) -> tuple[float, float, float]:
    """Linear-light gains of red, green and blue that take out the cast of the light, 1 where none is certain.

    ``pixels`` H×W×3 with the subject ``weight``; ``face`` (same size, 1 inside) is left out of the search.
    """
    neutral = (1.0, 1.0, 1.0)
    if strength == 0:
        return neutral
    linear = _LINEAR[pixels]
    red, green, blue = (linear[:, :, c] for c in range(3))
    lit = (pixels.min(axis=2) > 24) & (pixels.max(axis=2) < 252)  # black padding and clipped light say nothing
    safe = np.where(lit, green, 1)
    u = np.log(np.where(lit, red, 1) / safe)
    v = np.log(np.where(lit, blue, 1) / safe)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue

    skin = (u > _SKIN_RED[0]) & (u < _SKIN_RED[1]) & (v < _SKIN_BLUE[1]) & (v > _SKIN_BLUE[0]) & (v > -1.1 * u)
    may_be_gray = lit & ~(skin & (weight > 0.02)) & (np.hypot(u, v) < _REACH)
    tone_of_face: tuple[float, float] | None = None
    if face is not None:
        may_be_gray &= face == 0
        on_face = lit & (face > 0) & (weight > 0.5)
        if int(on_face.sum()) >= 16:
            tone_of_face = float(np.median(u[on_face])), float(np.median(v[on_face]))
    # What surrounds the subject is lit by the same light more often than not, but may be a painted wall.
    trust = np.where(weight > 0.5, 1.0, 0.4) * may_be_gray * luminance
    known = float((np.where(weight > 0.5, 1.0, 0.4) * lit * luminance).sum())
    total = float(trust.sum())
    if total <= 0 or int(may_be_gray.sum()) < 32:
        return neutral
    center_u, center_v, spread = _cluster(u, v, trust)
    # Certain when much of the picture can be grey and agrees on one colour.
    certainty = min(total / (0.12 * known), 1.0) * min(max((0.22 - spread) / 0.14, 0.0), 1.0)
    shift_u, shift_v = -0.8 * certainty * center_u, -0.8 * certainty * center_v
    if tone_of_face is not None:
        shift_u = _toward_skin(tone_of_face[0], shift_u, (0.17, 0.55))
        shift_v = _toward_skin(tone_of_face[1], shift_v, (-0.50, -0.10))
    size = math.hypot(shift_u, shift_v)
    if size <= _UNSEEN:
        return neutral
    scale = strength * min(size - _UNSEEN, _LARGEST) / size
    r, b = math.exp(shift_u * scale), math.exp(shift_v * scale)
    same_light = 0.2126 * r + 0.7152 + 0.0722 * b
    return r / same_light, 1 / same_light, b / same_light


def _cluster(u: NDArray[np.float32], v: NDArray[np.float32], trust: NDArray[np.float32]) -> tuple[float, float, float]:
    """Centre and spread of the densest group of chroma, by a few steps of mean shift from the neutral point."""
    chosen = trust > 0
    u, v, trust = u[chosen], v[chosen], trust[chosen]
    center_u = center_v = 0.0
    spread = _REACH
    for radius in (0.35, 0.25, 0.18, 0.15, 0.15):
        near = trust * np.exp(-((u - center_u) ** 2 + (v - center_v) ** 2) / (2 * radius**2))
        total = float(near.sum())
        if total <= 0:
            return 0.0, 0.0, _REACH
        center_u, center_v = float((near * u).sum()) / total, float((near * v).sum()) / total
        spread = math.sqrt(float((near * ((u - center_u) ** 2 + (v - center_v) ** 2)).sum()) / total)
    return center_u, center_v, spread


def _toward_skin(now: float, shift: float, plausible: tuple[float, float]) -> float:
    """Limit ``shift`` so that the face does not leave, or move further away from, the plausible colours of skin."""
    low, high = plausible
    moved = now + shift
    if shift > 0:
        return min(moved, max(high, now)) - now
    return max(moved, min(low, now)) - now


def decoded(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light of sRGB ``levels`` (0..1), IEC 61966-2-1."""
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def encoded(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB levels (0..1) of linear ``light``; what lies outside 0..1 is clipped."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def applied(levels: NDArray[np.float64], gain: float) -> NDArray[np.float64]:
    """What encoded ``levels`` (0..1) become when their light is multiplied by ``gain``.

    The gain fades out towards white: clipped light stays white instead of taking the opposite colour.
    """
    if gain == 1.0:
        return levels
    light = decoded(levels)
    return encoded(light * gain / (1 + (gain - 1) * light**4))


def _linear_table() -> NDArray[np.float32]:
    table = decoded(np.arange(256) / 255.0).astype(np.float32)
    table.flags.writeable = False
    return table


_LINEAR = _linear_table()
