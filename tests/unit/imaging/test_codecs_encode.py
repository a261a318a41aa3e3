"""Outputs are read back by other readers, say their resolution, stay in budget, and carry nothing personal."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageCms, features

from facecraft.errors import InvalidOptionError
from facecraft.imaging import codecs
from facecraft.imaging.codecs import EncodeOptions, OutputFormat
from facecraft.imaging.codecs.png import _adler_joined

FORMATS = [
    pytest.param(f, marks=pytest.mark.skipif(f == "avif" and not features.check("avif"), reason="no AVIF in Pillow"))
    for f in OutputFormat
]


def photo(width: int = 320, height: int = 240, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.2), np.uint8)


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """Every chunk of a PNG, its checksum checked as pngcheck does."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, found = 8, []
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        name, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length)[0] == zlib.crc32(name + body)
        found.append((name, body))
        at += 12 + length
    return found


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (648, 648), (1999, 501), (7, 4000)])
def test_png_is_read_back_by_pillow_and_opencv(width: int, height: int, channels: int) -> None:
    pixels = photo(width, height, channels)
    if channels == 4:
        pixels[:, :, 3] = np.maximum(pixels[:, :, 3], 1)
    data = codecs.encode_png(pixels)
    assert np.array_equal(np.asarray(PilImage.open(io.BytesIO(data))), pixels)
    code = cv2.COLOR_BGRA2RGBA if channels == 4 else cv2.COLOR_BGR2RGB
    assert np.array_equal(cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), code), pixels)


def test_large_png_is_one_valid_stream_of_several_stripes() -> None:
    pixels = photo(1500, 900)
    found = chunks(codecs.encode_png(pixels))
    parts = [body for name, body in found if name == b"IDAT"]
    assert len(parts) > 2
    assert len(zlib.decompress(b"".join(parts))) == 900 * (1500 * 3 + 1)  # the Adler-32 at its end is checked here
    assert [name for name, _ in found if name != b"IDAT"] == [b"IHDR", b"pHYs", b"IEND"]


@given(st.binary(max_size=200), st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_joined_checksum_is_that_of_the_whole(first: bytes, second: bytes) -> None:
    assert _adler_joined(zlib.adler32(first), zlib.adler32(second), len(second)) == zlib.adler32(first + second)


@pytest.mark.parametrize("level", [1, 6, 9])
def test_png_levels_change_size_only(level: int) -> None:
    pixels = photo()
    data = codecs.encode_png(pixels, level=level)
    assert np.array_equal(codecs.decode(data).pixels, pixels)
    assert len(data) <= len(codecs.encode_png(pixels, level=1))


@pytest.mark.parametrize("fmt", [OutputFormat.PNG, OutputFormat.WEBP])
def test_hidden_pixels_are_zeroed(fmt: OutputFormat) -> None:
    rgba = photo(channels=4)
    rgba[:, :160, 3] = 0
    back = np.asarray(PilImage.open(io.BytesIO(codecs.encode(rgba, fmt).data)).convert("RGBA"))
    assert not back[:, :160, 3].any()
    assert np.array_equal(back[:, :, 3], rgba[:, :, 3])
    if fmt is OutputFormat.PNG:
        assert not back[:, :160].any()
        assert np.array_equal(back[rgba[:, :, 3] > 0], rgba[rgba[:, :, 3] > 0])


@pytest.mark.parametrize("dpi", [72, 300, 600])
def test_resolution_is_written(dpi: int) -> None:
    for data in (codecs.encode_png(photo(), dpi=dpi), codecs.encode_jpeg(photo(), dpi=dpi)):
        x, y = PilImage.open(io.BytesIO(data)).info["dpi"]
        assert (round(x), round(y)) == (dpi, dpi)


def burdened(pixels: NDArray[np.uint8], kind: str) -> bytes:
    """A file as a phone writes it: place, time, camera, profile, comment."""
    tags = PilImage.Exif()
    tags[0x010F] = "SecretCamera"
    tags[0x9003] = "2024:01:02 03:04:05"
    if kind != "TIFF":  # Pillow cannot write the place into a TIFF
        tags[0x8825] = {1: "N", 2: (48.0, 12.0, 30.0), 3: "E", 4: (16.0, 22.0, 0.0)}
    out = io.BytesIO()
    PilImage.fromarray(pixels).save(
        out,
        kind,
        exif=tags,
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        **({"comment": b"SecretComment", "xmp": b"<x:xmpmeta>SecretPlace</x:xmpmeta>"} if kind == "JPEG" else {}),
    )
    return out.getvalue()


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_no_metadata_reaches_an_output(kind: str, fmt: OutputFormat) -> None:
    source = burdened(photo(), kind)
    assert b"SecretCamera" in source
    data = codecs.encode(codecs.decode(source).pixels, fmt).data
    with PilImage.open(io.BytesIO(data)) as picture:
        picture.load()
        assert not dict(picture.getexif())
        assert not set(picture.info) & {"exif", "icc_profile", "xmp", "comment", "XML:com.adobe.xmp", "photoshop"}
    for secret in (b"Secret", b"GPS", b"2024:01", b"Exif\0\0", b"http://ns.adobe", b"ICC_PROFILE"):
        assert secret not in data


@pytest.mark.parametrize("fmt", FORMATS)
def test_same_pixels_same_bytes(fmt: OutputFormat) -> None:
    pixels = photo(700, 500)
    assert codecs.encode(pixels, fmt).data == codecs.encode(pixels.copy(), fmt).data


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_format_shows_the_picture(fmt: OutputFormat) -> None:
    pixels = np.asarray(cv2.GaussianBlur(photo(), (0, 0), 3), np.uint8)
    found = codecs.encode(pixels, fmt)
    back = codecs.decode(found.data)
    assert back.source.format == fmt.value
    assert np.abs(back.pixels.astype(int) - pixels).mean() < 3
    assert (found.size.width, found.size.height) == (320, 240)


def test_jpeg_refuses_transparency() -> None:
    with pytest.raises(InvalidOptionError):
        codecs.encode(photo(channels=4), OutputFormat.JPEG)


def test_jpeg_is_left_at_its_best_when_it_fits() -> None:
    found = codecs.encode_jpeg_under(photo(), max_bytes=1_000_000, quality=92)
    assert (found.quality, found.scale, found.fits) == (92, 1.0, True)


@pytest.mark.parametrize("divisor", [1.2, 2, 3])
def test_jpeg_budget_is_met_by_the_best_quality_that_fits(divisor: float) -> None:
    pixels = photo(648, 648)
    budget = int(len(codecs.encode_jpeg(pixels, quality=89)) / divisor)
    found = codecs.encode_jpeg_under(pixels, max_bytes=budget, quality=92, min_quality=20)
    assert found.fits
    assert len(found.data) <= budget
    assert found.scale == 1.0
    next_better = codecs.encode_jpeg(pixels, quality=found.quality + 1, optimize=True)
    assert len(next_better) > budget


def test_jpeg_is_scaled_when_quality_is_not_enough() -> None:
    pixels = photo(648, 648)
    budget = len(codecs.encode_jpeg(pixels, quality=50)) // 2
    found = codecs.encode_jpeg_under(pixels, max_bytes=budget, min_quality=50, min_scale=0.3)
    assert found.fits
    assert len(found.data) <= budget
    assert 0.3 <= found.scale < 1
    assert codecs.probe(found.data).size.width == round(648 * found.scale)
    # Not wasteful either: a picture a fifth larger would not have fitted by much.
    assert len(found.data) > budget * 0.6


def test_jpeg_budget_that_cannot_be_met_is_reported() -> None:
    pixels = photo(648, 648)
    found = codecs.encode_jpeg_under(pixels, max_bytes=2000, min_quality=50, min_scale=0.5)
    assert not found.fits
    assert len(found.data) > 2000
    assert found.scale == 0.5
    options = EncodeOptions(jpeg_max_kb=1, jpeg_min_scale=1.0)
    assert not codecs.encode(pixels, OutputFormat.JPEG, options).fits


def test_default_budget_is_99_kilobytes_of_1024() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (648, 648, 3), np.uint8)
    found = codecs.encode(noise, OutputFormat.JPEG)
    assert found.fits == (len(found.data) <= 99 * 1024)
    assert codecs.encode(noise, OutputFormat.JPEG, EncodeOptions(jpeg_max_kb=0)).quality == 92


@pytest.mark.parametrize("side", [64, 300, 640])
def test_noise_is_written_as_jpeg_too(side: int) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    for max_kb in (5, 40, 400):
        made = codecs.encode_jpeg_under(noise, max_bytes=max_kb * 1024, quality=95)
        assert codecs.decode(made.data).rgb.shape[1] >= side // 2
        assert made.fits == (len(made.data) <= max_kb * 1024)
    assert len(codecs.encode_jpeg(noise, quality=95, optimize=True)) > side * side
