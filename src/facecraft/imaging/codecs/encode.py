"""From pixels to the bytes of a file.

No output carries metadata (no EXIF, GPS, profile, comment or time), but for a note on its provenance where one is asked
for: see :mod:`facecraft.imaging.codecs.provenance`.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as PilImage
from PIL import features

from facecraft.errors import InvalidOptionError, UnsupportedFormatError
from facecraft.imaging.choices import EncodeOptions, OutputFormat
from facecraft.imaging.codecs.png import encode_png
from facecraft.imaging.codecs.provenance import xmp_packet
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Pixels
from facecraft.imaging.resample import resize

KILOBYTE = 1024
"""Bytes in the kilobyte of a budget: the rule that a directory photo has at most 100 KB counts in 1024."""

_MAX_ENCODES = 8
_ROOM_TO_OPTIMIZE = 0.8
"""Bytes a pixel below which a file is surely smaller than the one byte a pixel that Pillow reserves to optimize it."""
_SMALLEST_SIDE = 16


@dataclass(frozen=True, slots=True)
class JpegResult:
    """A JPEG made under a byte budget. ``fits`` is False when the budget was missed at the lowest settings."""

    data: bytes
    quality: int
    scale: float
    fits: bool


@dataclass(frozen=True, slots=True)
class Encoded:
    """A finished file. ``quality`` is None for PNG; ``scale`` below 1 and ``fits`` concern the JPEG byte budget."""

    data: bytes
    format: OutputFormat
    size: Size
    quality: int | None = None
    scale: float = 1.0
    fits: bool = True


def encode(
    pixels: Pixels,
    format: OutputFormat,  # noqa: A002
    options: EncodeOptions | None = None,
    *,
    provenance: str | None = None,
) -> Encoded:
    """Write H×W×3|4 uint8 ``pixels`` as ``format``. JPEG has no alpha: compose RGBA on a background first.

    ``provenance`` is the IPTC digital source type that the file shall name; None: it carries no metadata at all.
    Raises InvalidOptionError for RGBA as JPEG and UnsupportedFormatError for AVIF where Pillow lacks it.
    """
    options = options or EncodeOptions()
    size = Size(int(pixels.shape[1]), int(pixels.shape[0]))
    match format:
        case OutputFormat.PNG:
            return Encoded(
                encode_png(pixels, dpi=options.dpi, level=options.png_level, provenance=provenance), format, size
            )
        case OutputFormat.WEBP:
            data = encode_webp(pixels, quality=options.webp_quality, provenance=provenance)
            return Encoded(data, format, size, options.webp_quality)
        case OutputFormat.AVIF:
            data = encode_avif(pixels, quality=options.avif_quality, provenance=provenance)
            return Encoded(data, format, size, options.avif_quality)
        case OutputFormat.JPEG if options.jpeg_max_kb == 0:
            quality = options.jpeg_quality
            data = encode_jpeg(pixels, quality=quality, dpi=options.dpi, provenance=provenance)
            return Encoded(data, format, size, quality)
        case OutputFormat.JPEG:
            found = encode_jpeg_under(
                pixels,
                max_bytes=options.jpeg_max_kb * KILOBYTE,
                quality=options.jpeg_quality,
                min_quality=min(options.jpeg_min_quality, options.jpeg_quality),
                min_scale=options.jpeg_min_scale,
                dpi=options.dpi,
                provenance=provenance,
            )
            return Encoded(found.data, format, _scaled(size, found.scale), found.quality, found.scale, found.fits)


def encode_jpeg(
    pixels: Pixels,
    *,
    quality: int = 92,
    dpi: int = 300,
    subsampling: str | None = None,
    optimize: bool = False,
    provenance: str | None = None,
) -> bytes:
    """Write H×W×3 ``pixels`` as a baseline JPEG.

    ``subsampling`` is 4:4:4, 4:2:2 or 4:2:0; by default colour is kept at full resolution from quality 90 on.
    ``optimize`` makes the file a few percent smaller in twice the time. Raises InvalidOptionError for RGBA.
    """
    if pixels.shape[2] != 3:
        raise InvalidOptionError("A JPEG has no transparency.", hint="Choose a background colour, or PNG or WebP.")

    def written(*, optimize: bool) -> bytes:
        out = io.BytesIO()
        PilImage.fromarray(pixels).save(
            out,
            "JPEG",
            quality=quality,
            dpi=(dpi, dpi),
            subsampling=subsampling or ("4:4:4" if quality >= 90 else "4:2:0"),
            optimize=optimize,
            **_note(provenance),
        )
        return out.getvalue()

    try:
        return written(optimize=optimize)
    except OSError:
        # Optimizing, Pillow reserves one byte a pixel for the whole file; noise needs more.
        if not optimize:
            raise
        return written(optimize=False)


def encode_jpeg_under(
    pixels: Pixels,
    *,
    max_bytes: int = 99 * KILOBYTE,
    quality: int = 92,
    min_quality: int = 50,
    min_scale: float = 0.5,
    dpi: int = 300,
    provenance: str | None = None,
) -> JpegResult:
    """Write the best JPEG of at most ``max_bytes``: bisection over quality first, then smaller pictures.

    Everything happens in memory, in at most eight encodes. When even ``min_quality`` at ``min_scale`` is too large,
    that smallest file is returned with ``fits`` False.
    """
    data = encode_jpeg(pixels, quality=quality, dpi=dpi, provenance=provenance)
    if len(data) <= max_bytes:
        return JpegResult(data, quality, 1.0, fits=True)

    optimize = len(data) < _ROOM_TO_OPTIMIZE * pixels.shape[0] * pixels.shape[1]
    best: JpegResult | None = None
    low, high = min_quality, quality - 1  # the answer, if there is one, lies here
    used = 1
    smallest = data
    while low <= high and used < _MAX_ENCODES:
        # Asking first for the lowest quality would waste an encode on most pictures; the middle is asked instead.
        middle = (low + high + 1) // 2
        data = encode_jpeg(pixels, quality=middle, dpi=dpi, optimize=optimize, provenance=provenance)
        used += 1
        if len(data) <= max_bytes:
            best, low = JpegResult(data, middle, 1.0, fits=True), middle + 1
        else:
            high, smallest = middle - 1, data
    if best is not None:
        return best

    size = Size(int(pixels.shape[1]), int(pixels.shape[0]))
    floor = max(min_scale, _SMALLEST_SIDE / min(size.width, size.height))
    scale = 1.0
    while scale > floor:
        # Bytes grow a little slower than pixels do: aim somewhat below the square root.
        scale = max(floor, scale * min(0.95, 0.97 * math.sqrt(max_bytes / len(smallest))))
        smaller = resize(pixels, _scaled(size, scale))
        smallest = encode_jpeg(smaller, quality=min_quality, dpi=dpi, optimize=optimize, provenance=provenance)
        used += 1
        if len(smallest) <= max_bytes:
            return JpegResult(smallest, min_quality, scale, fits=True)
        if used >= _MAX_ENCODES + 2:
            break
    return JpegResult(smallest, min_quality, scale, fits=False)


def encode_webp(pixels: Pixels, *, quality: int = 90, lossless: bool = False, provenance: str | None = None) -> bytes:
    """Write H×W×3|4 ``pixels`` as WebP; alpha is kept exactly, hidden colour zeroed."""
    out = io.BytesIO()
    PilImage.fromarray(_hidden_zeroed(pixels)).save(
        out, "WEBP", quality=quality, method=2, lossless=lossless, **_note(provenance)
    )
    return out.getvalue()


def encode_avif(pixels: Pixels, *, quality: int = 75, provenance: str | None = None) -> bytes:
    """Write H×W×3|4 ``pixels`` as AVIF. Raises UnsupportedFormatError where Pillow was built without it."""
    if not features.check("avif"):
        raise UnsupportedFormatError("This build of Pillow cannot write AVIF.", hint="Choose WebP, PNG or JPEG.")
    out = io.BytesIO()
    PilImage.fromarray(_hidden_zeroed(pixels)).save(out, "AVIF", quality=quality, speed=8, **_note(provenance))
    return out.getvalue()


def _note(provenance: str | None) -> dict[str, bytes]:
    return {} if provenance is None else {"xmp": xmp_packet(provenance)}


def _hidden_zeroed(pixels: Pixels) -> Pixels:
    if pixels.shape[2] == 3:
        return pixels
    pixels = np.ascontiguousarray(pixels)
    return np.asarray(cv2.bitwise_and(pixels, pixels, mask=pixels[:, :, 3]), np.uint8)


def _scaled(size: Size, scale: float) -> Size:
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
