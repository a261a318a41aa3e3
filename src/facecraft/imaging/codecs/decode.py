"""From the bytes of a file to an upright sRGB picture, with the cost known before it is paid."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageFile, features

from facecraft.errors import (
    EmptyInputError,
    ImageDecodeError,
    ImageTooLargeError,
    StorageAccessError,
    UnsupportedFormatError,
    UploadTooLargeError,
)
from facecraft.imaging.codecs import color
from facecraft.imaging.codecs.sniff import claimed_size, jpeg_layout, sniff
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Image, Limits, Pixels, SourceInfo

# Pillow only warns between one and two times its own ceiling (89 megapixels); here that is a refusal. The filter
# names Pillow's own category, so nobody else's warnings are touched.
warnings.filterwarnings("error", category=PilImage.DecompressionBombWarning)

_PILLOW_NAMES = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "bmp": "BMP",
    "tiff": "TIFF",
    "gif": "GIF",
    "avif": "AVIF",
}

# What Pillow's readers and libheif raise on hostile bytes; they promise no common base.
_READ_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError, ZeroDivisionError,
    OverflowError, RuntimeError, MemoryError, NotImplementedError, AssertionError, struct.error, zlib.error,
    UserWarning,  # Pillow warns about damaged metadata; a strict host turns its warnings into exceptions
)  # fmt: skip

_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file says about itself before its pixels are decoded. ``size`` is as stored, before turning upright."""

    size: Size
    format: str
    orientation: int
    size_bytes: int
    frames: int


def probe(data: bytes, limits: Limits | None = None) -> Probe:
    """Return size, format, orientation and frame count of ``data`` without decoding pixels.

    Raises EmptyInputError, UploadTooLargeError, UnsupportedFormatError, ImageTooLargeError when a limit is passed,
    and ImageDecodeError when the header is damaged.
    """
    kind = _admit(data, limits or Limits())
    if kind == "heif":
        heif = _open_heif(data, limits or Limits())
        return Probe(Size(*heif.size), kind, _heif_orientation(heif), len(data), len(heif))
    with _open(data, kind, limits or Limits()) as picture:
        return Probe(Size(*picture.size), kind, _orientation(picture), len(data), _frames(picture, kind))


def decode(data: bytes, limits: Limits | None = None) -> Image:
    """Return the first frame of ``data`` upright, in sRGB, 8 bits a channel, as RGB, or RGBA if any pixel is not opaque.

    EXIF orientation is undone, an ICC profile other than sRGB converted, and all metadata forgotten. 16-bit,
    CMYK, grey, palette and 1-bit pictures are read. Raises what :func:`probe` raises; a truncated or damaged file
    is an ImageDecodeError, never half a picture.
    """
    limits = limits or Limits()
    kind = _admit(data, limits)
    if kind == "heif":
        return _decode_heif(data, limits)
    with _open(data, kind, limits) as picture:
        turn = _orientation(picture)
        profile = picture.info.get("icc_profile")
        frames = _frames(picture, kind)
        left = turn
        pixels = _jpeg_pixels(data, picture.mode) if kind == "jpeg" else None
        if pixels is None:
            pixels, converted = _pillow_pixels(picture, profile)
            if kind == "tiff":  # Pillow turns TIFF upright while loading, and then drops the tag
                left = _orientation(picture)
        else:
            pixels, converted = color.to_srgb(pixels, profile)
    pixels = _upright(_without_opaque_alpha(pixels), left)
    return Image(pixels, SourceInfo(kind, len(data), turn, converted, frames))


def decode_file(path: Path, limits: Limits | None = None) -> Image:
    """Decode the file at ``path``; at most ``max_bytes + 1`` bytes are read.

    Raises StorageAccessError when the file cannot be read, else what :func:`decode` raises.
    """
    limits = limits or Limits()
    try:
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except OSError as error:
        raise StorageAccessError(f"{path.name} cannot be read.", hint="Check the path.", detail=str(error)) from error
    return decode(data, limits)


# --- before pixels -------------------------------------------------------------------------------------------------


def _admit(data: bytes, limits: Limits) -> str:
    """Sniff, and refuse by bytes and by the stated size."""
    if not data:
        raise EmptyInputError
    if len(data) > limits.max_bytes:
        raise UploadTooLargeError(f"The file is larger than {_megabytes(limits.max_bytes)}.")
    kind = sniff(data)
    if (size := claimed_size(data, kind)) is not None:
        _check_size(size, limits)
    return kind


def _check_size(size: Size, limits: Limits) -> None:
    if size.width < 1 or size.height < 1:
        raise ImageDecodeError("The picture says it has no pixels.")
    if size.width > limits.max_side or size.height > limits.max_side:
        raise ImageTooLargeError(
            f"The picture is {size.width}×{size.height} pixels; the longest side allowed is {limits.max_side}."
        )
    if size.width * size.height > limits.max_pixels:
        raise ImageTooLargeError(
            f"The picture is {size.width}×{size.height} pixels; at most {limits.max_pixels / 1e6:g} megapixels are allowed."
        )


def _megabytes(count: int) -> str:
    return f"{count / (1 << 20):.3g} MB"


def _open(data: bytes, kind: str, limits: Limits) -> ImageFile.ImageFile:
    if kind == "avif" and not features.check("avif"):
        raise UnsupportedFormatError("This build of Pillow cannot read AVIF.", hint="Save the picture as JPEG or PNG.")
    try:
        picture = PilImage.open(io.BytesIO(data), formats=[_PILLOW_NAMES[kind]])
    except (PilImage.DecompressionBombWarning, PilImage.DecompressionBombError) as error:
        raise ImageTooLargeError("The picture has more pixels than can be read safely.", detail=str(error)) from error
    except _READ_ERRORS as error:
        raise ImageDecodeError(detail=f"{kind}: {error}") from error
    _check_size(Size(*picture.size), limits)
    return picture


def _orientation(picture: PilImage.Image) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION_TAG, 1)
    except _READ_ERRORS:  # damaged metadata is no reason to lose the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _frames(picture: PilImage.Image, kind: str) -> int:
    # Counting the frames of a GIF or the pages of a TIFF means walking the whole file.
    return int(getattr(picture, "n_frames", 1)) if kind in {"webp", "png", "avif"} else 1


# --- pixels --------------------------------------------------------------------------------------------------------


def _jpeg_pixels(data: bytes, mode: str) -> Pixels | None:
    """An ordinary JPEG by OpenCV: the same pixels as Pillow's (both are libjpeg-turbo) in less than half the time.

    None where Pillow must do it: CMYK, or a file OpenCV will not take. Raises ImageDecodeError for a file that ends
    early: OpenCV would fill the rest with grey. In entropy-coded data FF is always followed by 00, a restart or
    a real marker, so an end marker anywhere behind the first scan means that the scan was closed.
    """
    _, scan = jpeg_layout(data)
    if scan is None or data.find(b"\xff\xd9", scan) < 0:
        raise ImageDecodeError("The picture is incomplete: its end is missing.")
    if mode not in {"RGB", "L"}:
        return None
    try:
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return None if pixels is None else np.asarray(pixels, np.uint8)


def _pillow_pixels(picture: ImageFile.ImageFile, profile: bytes | None) -> tuple[Pixels, bool]:
    try:
        picture.load()
        return color.eight_bit_srgb(picture, profile)
    except (PilImage.DecompressionBombWarning, PilImage.DecompressionBombError) as error:
        raise ImageTooLargeError(detail=str(error)) from error
    except _READ_ERRORS as error:
        raise ImageDecodeError(detail=f"{picture.format}: {error}") from error


def _without_opaque_alpha(pixels: Pixels) -> Pixels:
    if pixels.shape[2] == 4 and int(pixels[:, :, 3].min()) == 255:
        return np.ascontiguousarray(pixels[:, :, :3])
    return pixels


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation (JEITA CP-3451, tag 274)."""
    turned: NDArray[np.generic] | cv2.Mat
    match orientation:
        case 2:
            turned = cv2.flip(pixels, 1)
        case 3:
            turned = cv2.rotate(pixels, cv2.ROTATE_180)
        case 4:
            turned = cv2.flip(pixels, 0)
        case 5:
            turned = cv2.transpose(pixels)
        case 6:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            turned = cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180)
        case 8:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            return np.ascontiguousarray(pixels)
    return np.asarray(turned, np.uint8)


# --- HEIF: not by way of Pillow's registry, which is shared by the whole process --------------------------------------


def _open_heif(data: bytes, limits: Limits) -> pillow_heif.HeifFile:
    try:
        heif = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
        size = Size(*heif.size)  # fails where the file holds no picture at all
    except _READ_ERRORS as error:
        raise ImageDecodeError(detail=f"heif: {error}") from error
    _check_size(size, limits)
    return heif


def _heif_orientation(heif: pillow_heif.HeifFile) -> int:
    """The orientation the file carried. libheif has already turned the pixels: it must not be applied again."""
    value = heif.info.get("original_orientation")
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _decode_heif(data: bytes, limits: Limits) -> Image:
    heif = _open_heif(data, limits)
    orientation = _heif_orientation(heif)
    try:
        picture = heif.to_pillow()
        pixels, converted = color.eight_bit_srgb(picture, heif.info.get("icc_profile"))
    except _READ_ERRORS as error:
        raise ImageDecodeError(detail=f"heif: {error}") from error
    source = SourceInfo("heif", len(data), orientation, converted, len(heif))
    return Image(np.ascontiguousarray(_without_opaque_alpha(pixels)), source)


def from_array(source: object) -> Image:
    """Return a picture that is already in memory: a Pillow picture of any mode, or an H×W, H×W×3|4 uint8 array.

    EXIF orientation and profile of a Pillow picture are undone like those of a file. Raises ImageDecodeError for
    anything else.
    """
    if isinstance(source, PilImage.Image):
        pixels, converted = color.eight_bit_srgb(source, source.info.get("icc_profile"))
        upright = _upright(_without_opaque_alpha(pixels), _orientation(source))
        return Image(np.ascontiguousarray(upright), SourceInfo(had_profile=converted))
    array = np.array(source)
    if array.ndim == 2 and array.dtype == np.uint8:
        array = np.repeat(array[:, :, None], 3, axis=2)
    try:
        return Image(array)
    except ValueError as error:
        raise ImageDecodeError(
            "The array is not a picture.",
            hint="Give H×W, H×W×3 RGB or H×W×4 RGBA of type uint8 (0..255).",
            detail=str(error),
        ) from error
