"""Light and colour of a portrait, judged by the subject and not by what surrounds it.

Every step is a pure function with a strength 0..1; 0 leaves the pixels byte for byte. Exposure, white balance and
contrast are curves over single values: they are multiplied into one table per channel, so each pixel is rounded once.
Statistics weigh every pixel by how much of it is subject: transparent or padded area counts for nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facecraft.imaging import illuminant
from facecraft.imaging.choices import ToneOptions
from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Alpha, Pixels

__all__ = [
    "Curve",
    "Light",
    "ToneOptions",
    "contrast_curve",
    "exposure_curve",
    "measure",
    "saturated",
    "sharpened",
    "tone",
]

_SAMPLE_SIDE = 256
"""Statistics are taken from every n-th pixel so that about this many lie along the longer side."""

_MID_LIGHT = (112.0, 132.0)
"""CIE L* (0..255) of a subject below which it counts as dark, and what it is then led towards.

The original aimed at 140 for everybody; a lower aim, and only for subjects that are dark in their highlights too,
does not lighten dark skin that is well lit."""


_SHOULDER = 1.25
"""How late the exposure curve bends: at 1 it is Reinhard's, above 1.33 a gain of 4 would no longer be monotonic."""


Curve = NDArray[np.float64]
"""256 values 0..1: what each of the 256 levels becomes."""


@dataclass(frozen=True, slots=True)
class Light:
    """Percentiles of the subject's lightness (CIE L*, 0..255)."""

    darkest: float
    dark: float
    mean: float
    bright: float
    brightest: float


def tone(
    pixels: Pixels, weight: Alpha | None = None, options: ToneOptions | None = None, *, face: Box | None = None
) -> Pixels:
    """Improve light and colour of ``pixels`` (H×W×3|4 uint8); alpha is kept.

    ``weight`` (H×W float32 0..1) is how much of each pixel is subject; None takes the alpha channel, or everything.
    ``face`` in pixels makes the face count most for exposure, and keeps it out of the search for the colour of the light.
    """
    options = options or ToneOptions()
    if pixels.shape[2] == 4:
        weight = pixels[:, :, 3].astype(np.float32) / np.float32(255) if weight is None else weight
        toned = tone(np.ascontiguousarray(pixels[:, :, :3]), weight, options, face=face)
        return np.dstack([toned, pixels[:, :, 3]])
    result = _curves(pixels, weight, options, face)
    if not (options.saturation or options.sharpen or options.denoise):
        return result
    planes = cv2.split(cv2.cvtColor(result, cv2.COLOR_RGB2YCrCb))
    light, red, blue = (np.asarray(plane, np.uint8) for plane in planes)
    if options.denoise:
        light, red, blue = _denoised(light, red, blue, options.denoise)
    if options.saturation:
        red, blue = saturated(red, blue, options.saturation)
    if options.sharpen:
        light = sharpened(light, weight, options.sharpen)
    return np.asarray(cv2.cvtColor(cv2.merge([light, red, blue]), cv2.COLOR_YCrCb2RGB), np.uint8)


def _curves(pixels: Pixels, weight: Alpha | None, options: ToneOptions, face: Box | None) -> Pixels:
    if not (options.exposure or options.white_balance or options.contrast):
        return pixels
    step = max(1, math.ceil(max(pixels.shape[:2]) / _SAMPLE_SIDE))
    # Every n-th pixel, not a shrunken picture: averaging would mix the subject's rim with what lies behind it.
    sample = np.ascontiguousarray(pixels[::step, ::step])
    share = np.ones(sample.shape[:2], np.float32) if weight is None else np.ascontiguousarray(weight[::step, ::step])
    if float(share.sum()) < 1:
        return pixels
    inside = _face_part(sample.shape[:2], face, step)
    levels = np.arange(256) / 255.0
    gains = illuminant.gains(*_every_second(sample, share, inside), options.white_balance)
    channels = [illuminant.applied(levels, gain) for gain in gains]
    if options.exposure or options.contrast:
        balanced = _looked_up(sample, channels) if gains != (1.0, 1.0, 1.0) else sample
        # With a face known, it is what must be well lit; the coat below it may be black.
        light = measure(balanced, share if inside is None else share * (0.15 + 0.85 * inside))
        curve = exposure_curve(light, options.exposure)
        whole = light if inside is None else measure(balanced, share)
        deepen = contrast_curve(_after(whole, curve), options.contrast)
        channels = [np.interp(np.interp(channel, levels, curve), levels, deepen) for channel in channels]
    if all(np.abs(channel - levels).max() < 0.25 / 255 for channel in channels):
        return pixels
    return _looked_up(pixels, channels)


def _every_second(sample: Pixels, share: Alpha, inside: Alpha | None) -> tuple[Pixels, Alpha, Alpha | None]:
    """A quarter of the sample: the colour of the light needs fewer pixels than the percentiles."""
    return sample[::2, ::2], share[::2, ::2], None if inside is None else inside[::2, ::2]


def _looked_up(pixels: Pixels, channels: list[Curve]) -> Pixels:
    table = np.rint(np.clip(np.stack(channels, axis=-1), 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table[None]), np.uint8)


def _face_part(shape: tuple[int, ...], face: Box | None, step: int) -> Alpha | None:
    """1 within the ellipse in ``face``, 0 outside, at the sampled pixels; None when no sampled pixel lies in it."""
    if face is None:
        return None
    (cx, cy), a, b = face.center, face.width / 2, face.height / 2
    if a <= 0 or b <= 0:
        return None
    y, x = np.ogrid[: shape[0], : shape[1]]
    part = (((x * step - cx) / a) ** 2 + ((y * step - cy) / b) ** 2 <= 1).astype(np.float32)
    return part if part.any() else None


# --- statistics ----------------------------------------------------------------------------------------------------


def measure(pixels: Pixels, weight: Alpha) -> Light:
    """Lightness percentiles of ``pixels`` (H×W×3), each pixel counted by ``weight``. The weights must not all be 0."""
    lightness = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[:, :, 0]
    counts = np.bincount(lightness.ravel(), weights=weight.ravel(), minlength=256)
    total = float(counts.sum())
    at = np.interp(np.array([0.01, 0.05, 0.95, 0.99]) * total, np.cumsum(counts), np.arange(256))
    mean = float(counts @ np.arange(256)) / total
    return Light(float(at[0]), float(at[1]), mean, float(at[2]), float(at[3]))


def _after(light: Light, curve: Curve) -> Light:
    """What ``light`` becomes under ``curve``. L* is near enough to the encoded value for that."""
    moved = np.interp(
        [light.darkest, light.dark, light.mean, light.bright, light.brightest], np.arange(256), curve * 255
    )
    return Light(*(float(value) for value in moved))


# --- curves --------------------------------------------------------------------------------------------------------


def exposure_curve(light: Light, strength: float) -> Curve:
    """More, or less, light for a dark, or a glaring, subject; the identity for one that is well lit.

    It works as the camera would have, by a gain in linear light, with a shoulder that keeps white white: a gamma would
    turn black clothes grey. A subject is dark only if its mean and its highlights are: dark skin, hair or clothes in good light have bright spots.
    """
    dark, aim = _MID_LIGHT
    gain = 1.0
    if light.mean < dark:
        by_mean = _gain_between(light.mean, aim)
        by_highlights = _gain_between(light.bright, 205.0)
        gain = max(1.0, min(by_mean, by_highlights, 4.0))
    elif light.mean > 196 and light.bright > 235:
        gain = max(_gain_between(light.mean, 190.0), 0.6)
    encoded = np.arange(256) / 255.0
    linear = illuminant.decoded(encoded)
    gain = gain**strength
    return illuminant.encoded(linear * gain / (1 + (gain - 1) * linear**_SHOULDER)) if gain != 1.0 else encoded


def _gain_between(now: float, aim: float) -> float:
    """The gain under which lightness ``now`` becomes ``aim`` (CIE L*, 0..255) on the shoulder of the exposure curve."""
    x, y = (((max(value, 6.0) * 100 / 255 + 16) / 116) ** 3 for value in (min(now, 250.0), aim))
    return float(y * (1 - x**_SHOULDER) / (x - y * x**_SHOULDER))


def contrast_curve(light: Light, strength: float) -> Curve:
    """Spread the subject's lightness towards black and white, and steepen it about its mean, as far as it is flat."""
    levels = np.arange(256) / 255.0
    spread = light.brightest - light.darkest
    # A single-coloured patch holds no information about contrast.
    known = min(max((spread - 16) / 48, 0.0), 1.0)
    if strength == 0 or known == 0:
        return levels
    low, high = light.darkest / 255, light.brightest / 255
    new_low = low - 0.95 * strength * known * max(0.0, low - 0.06)
    new_high = high + 0.85 * strength * known * max(0.0, 0.93 - high)
    gain = min((new_high - new_low) / (high - low), 1.6)
    pivot = light.mean / 255
    stretched = np.clip(pivot + (levels - pivot) * gain + 0.5 * ((new_low - low) + (new_high - high)), 0, 1)
    flat = min(max((215 - spread * gain) / 110, 0.08), 1.0)
    steep = 0.3 * strength * known * flat
    center = float(np.interp(pivot, levels, stretched))
    below = stretched - steep * stretched * (center - stretched) / max(center, 1e-3)
    above = stretched + steep * (1 - stretched) * (stretched - center) / max(1 - center, 1e-3)
    return np.asarray(np.clip(np.where(stretched < center, below, above), 0, 1), np.float64)


# --- steps over neighbourhoods ---------------------------------------------------------------------------------------


def saturated(
    red: NDArray[np.uint8], blue: NDArray[np.uint8], strength: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Widen the chroma planes Cr and Cb (uint8, 128 is neutral): pale colours most, strong ones hardly.

    Skin of every tone lies where Cr is above and Cb below 128 (Chai and Ngan 1999); that side gets a third.
    """
    offset = np.arange(256) - 128.0
    room = 1 - np.minimum(np.abs(offset) / 80, 1)
    skin_red, skin_blue = np.where(offset > 0, 1 / 3, 1.0), np.where(offset < 0, 1 / 3, 1.0)
    red_table = np.rint(np.clip(128 + offset * (1 + 0.6 * strength * room * skin_red), 0, 255)).astype(np.uint8)
    blue_table = np.rint(np.clip(128 + offset * (1 + 0.6 * strength * room * skin_blue), 0, 255)).astype(np.uint8)
    return np.asarray(cv2.LUT(red, red_table), np.uint8), np.asarray(cv2.LUT(blue, blue_table), np.uint8)


def sharpened(light: NDArray[np.uint8], weight: Alpha | None, strength: float) -> NDArray[np.uint8]:
    """Unsharp mask (standard deviation 1 pixel) of a lightness plane, with no halo.

    With a ``weight`` the rim of the subject is left as it is; everywhere the result stays within six levels of its
    neighbourhood's range, so edges do not overshoot.
    """
    soft = cv2.GaussianBlur(light, (0, 0), 1.0)
    sharp = cv2.addWeighted(light, 1 + 1.2 * strength, soft, -1.2 * strength, 0)
    kernel = np.ones((3, 3), np.uint8)
    margin = np.full_like(light, 6)
    sharp = cv2.min(sharp, cv2.add(cv2.dilate(light, kernel), margin))
    sharp = cv2.max(sharp, cv2.subtract(cv2.erode(light, kernel), margin))
    if weight is None:
        return np.asarray(sharp, np.uint8)
    # Only where the whole reach of the blur lies on the subject: nothing behind it can show as a halo.
    part = cv2.erode(weight, np.ones((7, 7), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.blendLinear(sharp, light, part, np.float32(1) - part), np.uint8)


def _denoised(
    light: NDArray[np.uint8],
    red: NDArray[np.uint8],
    blue: NDArray[np.uint8],
    strength: float,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """A bilateral filter on lightness and a median on chroma, mixed in by ``strength``."""
    smooth = cv2.bilateralFilter(light, 5, 6 + 14 * strength, 2.0)
    planes = [cv2.addWeighted(light, 1 - strength, smooth, strength, 0)]
    planes += [cv2.addWeighted(c, 1 - strength, cv2.medianBlur(c, 5), strength, 0) for c in (red, blue)]
    first, second, third = (np.asarray(plane, np.uint8) for plane in planes)
    return first, second, third
