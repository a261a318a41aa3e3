"""Every input format is read upright, in sRGB, as its own encoder wrote it."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageCms, features

from facecraft.errors import (
    EmptyInputError,
    ImageDecodeError,
    ImageTooLargeError,
    StorageAccessError,
    UploadTooLargeError,
)
from facecraft.imaging import codecs
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Limits

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")


def scene(width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """Four corners in four colours, so that every flip and turn shows; smooth enough for lossy formats."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (200, 40, 40)
    picture[: height // 2, width // 2 :] = (40, 180, 60)
    picture[height // 2 :, : width // 2] = (40, 60, 200)
    picture[height // 2 :, width // 2 :] = (220, 210, 60)
    return picture


def saved(picture: PilImage.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def heic(picture: PilImage.Image, **options: object) -> bytes:
    out = io.BytesIO()
    pillow_heif.from_pillow(picture).save(out, quality=95, chroma=444, **options)
    return out.getvalue()


def corners(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The mean colour of each quarter: top left, top right, bottom left, bottom right."""
    h, w = pixels.shape[0] // 2, pixels.shape[1] // 2
    quarters = (pixels[:h, :w], pixels[:h, w:], pixels[h:, :w], pixels[h:, w:])
    return np.array([q[4:-4, 4:-4, :3].reshape(-1, 3).mean(0).round() for q in quarters], np.int64)


LOSSLESS = {"PNG": "png", "BMP": "bmp", "TIFF": "tiff"}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_give_every_pixel_back(kind: str) -> None:
    noisy = np.random.default_rng(1).integers(0, 256, (33, 47, 3), np.uint8)
    image = codecs.decode(saved(PilImage.fromarray(noisy), kind))
    assert np.array_equal(image.pixels, noisy)
    assert image.source.format == LOSSLESS[kind]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "HEIF", pytest.param("AVIF", marks=needs_avif)])
def test_lossy_formats_give_the_picture_back(kind: str) -> None:
    picture = PilImage.fromarray(scene())
    data = heic(picture) if kind == "HEIF" else saved(picture, kind)
    image = codecs.decode(data)
    assert image.source.format == kind.lower()
    assert np.abs(corners(image.pixels) - corners(scene())).max() <= 6
    assert codecs.probe(data).size == Size(96, 64)


def exif(orientation: int) -> PilImage.Exif:
    tags = PilImage.Exif()
    tags[0x0112] = orientation
    return tags


def as_stored(upright: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:  # noqa: PLR0911 - one answer per case
    """What a camera stores for ``orientation`` so that a viewer shows ``upright``."""
    match orientation:
        case 2:
            return upright[:, ::-1]
        case 3:
            return upright[::-1, ::-1]
        case 4:
            return upright[::-1]
        case 5:
            return upright.transpose(1, 0, 2)
        case 6:
            return np.rot90(upright, 1)
        case 7:
            return upright.transpose(1, 0, 2)[::-1, ::-1]
        case 8:
            return np.rot90(upright, -1)
    return upright


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", pytest.param("AVIF", marks=needs_avif)])
def test_exif_orientation_is_undone(kind: str, orientation: int) -> None:
    stored = np.ascontiguousarray(as_stored(scene(), orientation))
    image = codecs.decode(saved(PilImage.fromarray(stored), kind, exif=exif(orientation)))
    assert image.pixels.shape == (64, 96, 3)
    assert np.abs(corners(image.pixels) - corners(scene())).max() <= 8
    assert image.source.orientation == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_turned_once_and_not_twice(orientation: int) -> None:
    stored = PilImage.fromarray(np.ascontiguousarray(as_stored(scene(), orientation)))
    image = codecs.decode(heic(stored, exif=exif(orientation).tobytes()))
    assert image.pixels.shape == (64, 96, 3)
    assert np.abs(corners(image.pixels) - corners(scene())).max() <= 8


@pytest.mark.filterwarnings("ignore:Truncated File Read", "ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_lose_the_picture() -> None:
    data = saved(PilImage.fromarray(scene()), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff garbage")
    assert np.abs(corners(codecs.decode(data).pixels) - corners(scene())).max() <= 6


def swapped_profile() -> bytes:
    """sRGB with the red and green primaries exchanged: a profile whose effect nobody can overlook."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_icc_profile_is_converted_to_srgb(kind: str) -> None:
    red = np.full((32, 32, 3), (220, 30, 30), np.uint8)
    image = codecs.decode(saved(PilImage.fromarray(red), kind, icc_profile=swapped_profile()))
    r, g, _ = image.pixels[16, 16].astype(int)
    assert g > 200
    assert r < 60
    assert image.source.had_profile


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_srgb_profile_changes_nothing(kind: str) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain, tagged = (
        codecs.decode(saved(PilImage.fromarray(scene()), kind, **options)) for options in ({}, {"icc_profile": srgb})
    )
    assert np.array_equal(plain.pixels, tagged.pixels)
    assert not tagged.source.had_profile


@pytest.mark.parametrize("profile", [b"not a profile", swapped_profile()[:200], b"\0" * 128])
def test_bad_profile_is_ignored(profile: bytes) -> None:
    image = codecs.decode(saved(PilImage.fromarray(scene()), "PNG", icc_profile=profile))
    assert np.array_equal(image.pixels, scene())


def test_a_tall_picture_is_converted_like_a_small_one() -> None:
    """Conversion runs in stripes: no row may be missed or done twice."""
    tall = cv2.resize(scene(), (20, 700), interpolation=cv2.INTER_NEAREST)
    image = codecs.decode(saved(PilImage.fromarray(tall), "PNG", icc_profile=swapped_profile()))
    small = codecs.decode(saved(PilImage.fromarray(scene()), "PNG", icc_profile=swapped_profile()))
    assert np.array_equal(corners(image.pixels), corners(small.pixels))
    assert len(np.unique(image.pixels.reshape(-1, 3), axis=0)) == 4


def test_profile_keeps_alpha() -> None:
    rgba = np.dstack([scene(), np.linspace(0, 255, 96).round().astype(np.uint8)[None].repeat(64, 0)])
    image = codecs.decode(saved(PilImage.fromarray(rgba), "PNG", icc_profile=swapped_profile()))
    assert np.array_equal(image.pixels[:, :, 3], rgba[:, :, 3])


def test_cmyk_jpeg_with_and_without_the_adobe_inversion() -> None:
    ink = PilImage.fromarray(scene()).convert("CMYK")
    image = codecs.decode(saved(ink, "JPEG", quality=95))  # Pillow writes the Adobe marker: inverted
    assert np.abs(corners(image.pixels) - corners(scene())).max() <= 10


def test_cmyk_tiff() -> None:
    image = codecs.decode(saved(PilImage.fromarray(scene()).convert("CMYK"), "TIFF"))
    assert np.array_equal(image.pixels, scene())


def test_sixteen_bit_gray_png_and_tiff_are_scaled_not_cut() -> None:
    deep = np.linspace(0, 65535, 256).round().astype(np.uint16)[None].repeat(8, 0)
    for kind in ("PNG", "TIFF"):
        image = codecs.decode(saved(PilImage.fromarray(deep), kind))
        assert np.array_equal(image.pixels[0, :, 0], np.arange(256)), kind


def test_float_and_long_integer_tiff() -> None:
    ramp = np.arange(256, dtype=np.float32)[None].repeat(4, 0)
    for values in (ramp / 255, ramp, ramp * 257, (ramp * 257).astype(np.int32), ramp.astype(np.int32)):
        image = codecs.decode(saved(PilImage.fromarray(values), "TIFF"))
        assert np.array_equal(image.pixels[0, :, 1], np.arange(256))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_color(suffix: str, channels: int) -> None:
    eight = np.dstack([scene(), np.full((64, 96), 90, np.uint8)])[:, :, :channels]
    order = [2, 1, 0, 3][:channels]
    _, data = cv2.imencode(suffix, np.ascontiguousarray(eight.astype(np.uint16)[:, :, order] * 257))
    image = codecs.decode(data.tobytes())
    assert np.array_equal(image.pixels, eight)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA"])
def test_gray_palette_and_one_bit(mode: str) -> None:
    gray = PilImage.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 16, axis=1).repeat(8, axis=0))
    picture = gray.convert("LA").convert("PA") if mode == "PA" else gray.convert(mode)
    kind = "PNG" if mode != "PA" else "TIFF"
    try:
        data = saved(picture, kind)
    except OSError:
        pytest.skip(f"this Pillow does not write {mode}")
    image = codecs.decode(data)
    assert image.pixels.shape == (8, 32, 3)
    assert np.array_equal(image.pixels[0, :, 0], [0] * 16 + [255] * 16)


def test_transparent_gif_keeps_its_hole() -> None:
    picture = PilImage.fromarray(scene()).convert("P", palette=PilImage.Palette.ADAPTIVE)
    hole = picture.getpixel((2, 2))
    image = codecs.decode(saved(picture, "GIF", transparency=hole))
    assert image.has_alpha
    assert image.pixels[2, 2, 3] == 0
    assert image.pixels[60, 90, 3] == 255


def test_opaque_alpha_is_dropped() -> None:
    rgba = np.dstack([scene(), np.full((64, 96), 255, np.uint8)])
    assert not codecs.decode(saved(PilImage.fromarray(rgba), "PNG")).has_alpha


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_only_the_first_frame_is_read(kind: str) -> None:
    other = PilImage.fromarray(np.full((64, 96, 3), 255, np.uint8))
    data = saved(PilImage.fromarray(scene()), kind, save_all=True, append_images=[other, other])
    assert np.abs(corners(codecs.decode(data).pixels) - corners(scene())).max() <= 6


def test_large_jpeg_is_the_same_by_the_fast_way() -> None:
    smooth = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 256, (301, 203, 3), np.uint8), (0, 0), 3)
    for options in ({"quality": 85}, {"quality": 95, "subsampling": 0}, {"quality": 80, "progressive": True}):
        data = saved(PilImage.fromarray(smooth), "JPEG", **options)
        reference = np.asarray(PilImage.open(io.BytesIO(data)).convert("RGB")).astype(int)
        assert np.abs(codecs.decode(data).pixels - reference).max() <= 2


def test_pixels_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        codecs.decode(saved(PilImage.fromarray(scene()), "PNG")).pixels[0, 0, 0] = 1


def test_limits_are_checked_on_bytes_pixels_and_sides() -> None:
    data = saved(PilImage.fromarray(scene()), "PNG")
    with pytest.raises(UploadTooLargeError):
        codecs.decode(data, Limits(max_bytes=len(data) - 1))
    with pytest.raises(ImageTooLargeError, match="96×64"):
        codecs.decode(data, Limits(max_pixels=96 * 64 - 1))
    with pytest.raises(ImageTooLargeError, match="longest side"):
        codecs.probe(data, Limits(max_side=95))
    assert codecs.decode(data, Limits(len(data), 96 * 64, 96)).width == 96


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(saved(PilImage.fromarray(scene()), "PNG"))
    assert codecs.decode_file(path).width == 96
    with pytest.raises(UploadTooLargeError):
        codecs.decode_file(path, Limits(max_bytes=10))
    with pytest.raises(StorageAccessError):
        codecs.decode_file(tmp_path / "missing.png")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(EmptyInputError):
        codecs.decode_file(tmp_path / "empty.jpg")


def test_png_with_a_broken_checksum_is_damaged() -> None:
    body = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + b"IHDR" + body + struct.pack(">I", zlib.crc32(b"IHDR" + body) ^ 1)
    with pytest.raises(ImageDecodeError):
        codecs.decode(b"\x89PNG\r\n\x1a\n" + header + b"\0" * 64)
