"""Every kind of pixel that a file can hold, brought to eight bits of sRGB."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image as PilImage
from PIL import ImageCms

from facecraft.imaging.image import Pixels

_SAME_WITHIN = 2  # levels; profiles called sRGB differ by that much in rounding

_STRIPE_ROWS = 128

# What libraries raise on a damaged profile. A picture with a bad profile is still a picture.
_PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError)


def to_srgb(pixels: Pixels, profile: bytes | None) -> tuple[Pixels, bool]:
    """Convert H×W×3 RGB ``pixels`` from an RGB ICC ``profile``; also whether anything had to be converted.

    A profile that is damaged, is not for RGB, or amounts to sRGB is ignored.
    """
    transform = _transform(profile, "RGB")
    if transform is None:
        return pixels, False
    out = np.empty_like(pixels)

    def stripe(start: int) -> None:
        part = PilImage.fromarray(pixels[start : start + _STRIPE_ROWS])
        converted = ImageCms.applyTransform(part, transform)
        if converted is not None:  # None only when working in place
            out[start : start + _STRIPE_ROWS] = np.asarray(converted)

    # Phones tag their twelve megapixels with Display P3. LittleCMS lets other threads run while it converts, and
    # keeps what it remembers of a transform on the stack of each call.
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as threads:
        list(threads.map(stripe, range(0, pixels.shape[0], _STRIPE_ROWS)))
    return out, True


def eight_bit_srgb(picture: PilImage.Image, profile: bytes | None) -> tuple[Pixels, bool]:
    """The pixels of a loaded Pillow ``picture`` as H×W×3|4 sRGB uint8, and whether a profile was converted."""
    picture = _eight_bit(picture)
    if picture.mode == "CMYK" and (transform := _transform(profile, "CMYK")) is not None:
        converted = ImageCms.applyTransform(picture, transform)
        if converted is not None:
            return np.asarray(converted), True
    if picture.mode == "L" and (transform := _transform(profile, "L")) is not None:
        converted = ImageCms.applyTransform(picture, transform)
        if converted is not None:
            return np.asarray(converted), True
    if picture.mode == "LAB":
        lab = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
        converted = ImageCms.applyTransform(picture, lab)
        if converted is not None:
            return np.asarray(converted), False
    transparent = picture.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in picture.info
    if not transparent:
        return to_srgb(np.asarray(picture.convert("RGB")), profile)
    if picture.mode == "La":
        picture = picture.convert("LA")
    pixels = np.asarray(picture.convert("RGBA"))
    colors, converted_profile = to_srgb(np.ascontiguousarray(pixels[:, :, :3]), profile)
    return np.dstack([colors, pixels[:, :, 3]]), converted_profile


def _eight_bit(picture: PilImage.Image) -> PilImage.Image:
    """Bring the deep grey modes to eight bits; colour modes are already there."""
    if picture.mode.startswith("I;16"):
        deep = np.asarray(picture).astype(np.uint32)
        return PilImage.fromarray(((deep + 128) // 257).astype(np.uint8))
    if picture.mode in {"I", "F"}:
        values = np.nan_to_num(np.asarray(picture, np.float64))
        # Neither mode states its range: the smallest usual one that holds the values is taken.
        usual = (1.0, 255.0, 65535.0) if picture.mode == "F" else (255.0, 65535.0)
        largest = float(values.max())
        top = next((limit for limit in usual if largest <= limit), largest)
        return PilImage.fromarray(np.rint(np.clip(values, 0, top) * (255 / top)).astype(np.uint8))
    return picture


def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from ``profile`` to sRGB for pictures of ``mode``, or None when there is nothing to do or to trust."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != {"L": "GRAY"}.get(mode, mode):
            return None
        # A press profile holds its own gamut mapping (perceptual); matrix profiles have only the colorimetric one.
        intent = ImageCms.Intent.PERCEPTUAL if mode == "CMYK" else ImageCms.Intent.RELATIVE_COLORIMETRIC
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB", intent, ImageCms.Flags.BLACKPOINTCOMPENSATION
        )
        return transform if mode == "CMYK" or not _changes_nothing(transform, mode) else None
    except _PROFILE_ERRORS:
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether ``transform`` leaves a lattice of colours where it was: then the profile is sRGB by another name."""
    ramp = np.linspace(0, 255, 9).round().astype(np.uint8)
    if mode == "L":
        lattice = np.ascontiguousarray(ramp[None])
    else:
        r, g, b = np.meshgrid(ramp, ramp, ramp)
        lattice = np.stack([r, g, b], axis=-1).reshape(1, -1, 3)
    out = ImageCms.applyTransform(PilImage.fromarray(lattice), transform)
    expected = lattice[..., None] if mode == "L" else lattice
    return out is not None and int(np.abs(np.asarray(out).astype(np.int16) - expected).max()) <= _SAME_WITHIN
