"""Hostile, damaged and mistaken files: a typed error each, soon, in bounded memory."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import pillow_heif
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage
from PIL import features

from facecraft.errors import (
    EmptyInputError,
    ImageDecodeError,
    ImageTooLargeError,
    InputError,
    UnsupportedFormatError,
)
from facecraft.imaging import codecs


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_bomb(width: int = 30000, height: int = 30000) -> bytes:
    packer = zlib.compressobj(9)
    row = bytes(1 + width)
    body = b"".join(packer.compress(row) for _ in range(500)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def jpeg_bomb(width: int = 20000, height: int = 10000) -> bytes:
    data = bytearray(plain("JPEG"))
    at = re.search(rb"\xff\xc0", bytes(data)).start()  # type: ignore[union-attr]
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_bomb() -> bytes:
    """A 60000×60000 screen whose 10,000 frames are one pixel each."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", 60000, 60000, 0x80, 0, 0) + bytes(6) + frame * 10_000 + b";"


def webp_bomb() -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + (16382).to_bytes(3, "little") * 2
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def bmp_bomb() -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 40000, -40000, 1, 24, 0, 0, 0, 0, 0, 0)


def tiff(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", following)


def tiff_bomb() -> bytes:
    return tiff([(256, 4, 1, 100_000), (257, 4, 1, 100_000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
                 (273, 4, 1, 8), (278, 4, 1, 100_000), (279, 4, 1, 10)])  # fmt: skip


def heif_bomb(kind: str) -> bytes:
    """A real file whose image spatial extents (ispe) claim 60000×60000."""
    data = bytearray(plain(kind))
    for match in re.finditer(b"ispe", bytes(data)):
        data[match.start() + 8 : match.start() + 16] = struct.pack(">II", 60000, 60000)
    return bytes(data)


def plain(kind: str, size: tuple[int, int] = (64, 48)) -> bytes:
    gradient = np.add.outer(np.arange(size[1]) * 2, np.arange(size[0])).astype(np.uint8)
    picture = PilImage.fromarray(np.dstack([gradient, gradient[::-1], gradient[:, ::-1]]))
    out = io.BytesIO()
    if kind == "HEIF":
        pillow_heif.from_pillow(picture).save(out)
    else:
        picture.save(out, kind)
    return out.getvalue()


KINDS = ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "HEIF", *(["AVIF"] if features.check("avif") else [])]

BOMBS = {
    "png": png_bomb(),
    "jpeg": jpeg_bomb(),
    "gif": gif_bomb(),
    "webp": webp_bomb(),
    "bmp": bmp_bomb(),
    "tiff": tiff_bomb(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_by_their_header(name: str) -> None:
    assert len(BOMBS[name]) < 200_000
    for read in (codecs.probe, codecs.decode):
        with pytest.raises(ImageTooLargeError):
            read(BOMBS[name])


@pytest.mark.parametrize(
    "kind", ["HEIF", pytest.param("AVIF", marks=pytest.mark.skipif("AVIF" not in KINDS, reason="no AVIF"))]
)
def test_heif_that_lies_about_its_size(kind: str) -> None:
    with pytest.raises((ImageTooLargeError, ImageDecodeError)):
        codecs.decode(heif_bomb(kind))


def test_memory_stays_bounded_over_all_bombs() -> None:
    """In a fresh process, because the peak of this one is already high."""
    program = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import importlib.util
spec = importlib.util.spec_from_file_location("attacks", sys.argv[2])
attacks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(attacks)
from facecraft.errors import InputError
bombs = [*attacks.BOMBS.values(), *(attacks.heif_bomb(k) for k in attacks.KINDS if k in ("HEIF", "AVIF"))]
attacks.codecs.decode(attacks.plain("JPEG"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for bomb in bombs:
    try:
        attacks.codecs.decode(bomb)
    except InputError:
        continue
    raise SystemExit("a bomb was decoded")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "src", __file__], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 48 * 1024 * 1024


def test_pixels_over_the_limit_of_pillow_are_refused_even_when_ours_is_higher() -> None:
    from facecraft.imaging.image import Limits

    with pytest.raises(ImageTooLargeError):
        codecs.decode(png_bomb(), Limits(max_pixels=10**10, max_side=10**6))


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_files_are_errors_and_never_half_a_picture(kind: str) -> None:
    data = plain(kind)
    # The last bytes of some containers are padding or a trailer without pixels.
    for cut in sorted({0, 1, 2, 8, 12, 20, *range(0, len(data) - 24, max(1, len(data) // 60))}):
        with pytest.raises(InputError) as raised:
            codecs.decode(data[:cut])
        assert raised.value.code in {"image_unreadable", "unsupported_format", "empty_input"}


def test_jpeg_without_its_last_bytes() -> None:
    data = plain("JPEG", (400, 300))
    for missing in (2, 3, 10, len(data) // 2):
        with pytest.raises(ImageDecodeError):
            codecs.decode(data[:-missing])


def test_jpeg_with_something_appended_is_a_picture() -> None:
    """Phones append a clip to a motion photo."""
    assert codecs.decode(plain("JPEG") + b"\0\0\0\x18ftypmp42" + bytes(500)).width == 64


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"Dear sir, this is a letter and not a picture.\n" * 4, "text file"),
        ("Grüße aus Köln. ".encode() * 100, "text file"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "SVG"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- x --><svg/>', "SVG"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "PDF"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"PK\x03\x04rest", "ZIP"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video"),
        (b"II*\0\x10\0\0\0CR\x02\0", "raw camera"),
        (b"BM is how this sentence begins", "text file"),
        (b"\x7fELF\x02\x01\x01", "program"),
        (bytes(100), "unknown"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
    ],
)
def test_other_files_are_named(data: bytes, words: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=words):
        codecs.decode(data)


def test_empty() -> None:
    for read in (codecs.sniff, codecs.probe, codecs.decode):
        with pytest.raises(EmptyInputError):
            read(b"")


@pytest.mark.parametrize("kind", KINDS)
def test_one_pixel(kind: str) -> None:
    assert codecs.decode(plain(kind, (1, 1))).pixels.shape == (1, 1, 3)


def test_polyglots_are_read_as_the_picture_they_begin_with() -> None:
    script = b"<script>alert(1)</script><?php system($_GET['c']); ?>"
    for kind in ("PNG", "JPEG", "GIF", "BMP"):
        image = codecs.decode(plain(kind) + script)
        assert b"script" not in codecs.encode_png(image.pixels)


def test_ten_thousand_frames_cost_one() -> None:
    frames = gif_bomb().replace(struct.pack("<HH", 60000, 60000), struct.pack("<HH", 8, 8), 1)
    assert codecs.decode(frames).pixels.shape[:2] == (8, 8)


@pytest.mark.parametrize(
    "data",
    [
        tiff([], following=8),
        tiff([(256, 4, 0xFFFFFFFF, 8), (257, 4, 0xFFFFFFFF, 8)]),
        tiff([(256, 4, 1, 10), (257, 4, 1, 10), (273, 4, 1, 0xFFFFFFF0), (279, 4, 1, 0xFFFFFFF0)]),
        b"II*\0" + struct.pack("<I", 0xFFFFFFF0),
        b"II*\0" + struct.pack("<IH", 8, 0xFFFF) + bytes(200),
        tiff([(256, 4, 1, 10), (257, 4, 1, 10), (258, 3, 60000, 8), (259, 3, 1, 5), (262, 3, 1, 2), (273, 4, 1, 8)]),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_absurd_tiff_directories(data: bytes) -> None:
    with pytest.raises(InputError):
        codecs.decode(data)


def test_compressed_text_in_a_png_does_not_unpack_without_limit() -> None:
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000), 9))
    good = plain("PNG")
    at = good.index(b"IDAT") - 4
    try:
        image = codecs.decode(good[:at] + bomb + good[at:])
    except ImageDecodeError:
        return
    assert image.width == 64


HEADS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"RIFF\x40\0\0\0WEBPVP8 ", b"RIFF\x40\0\0\0WEBPVP8X",
         b"GIF89a", b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08",
         b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif"]  # fmt: skip


@given(st.sampled_from(HEADS), st.binary(max_size=400))
@example(b"\xff\xd8\xff", b"\xc0\0")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_random_bytes_give_typed_errors_only(head: bytes, tail: bytes) -> None:
    with contextlib.suppress(InputError):
        codecs.decode(head + tail)


@given(st.sampled_from(KINDS), st.integers(0, 10**6), st.integers(1, 255))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_one_flipped_byte_gives_a_picture_or_a_typed_error(kind: str, where: int, change: int) -> None:
    data = bytearray(plain(kind))
    data[where % len(data)] ^= change
    try:
        image = codecs.decode(bytes(data))
    except InputError:
        return
    assert image.pixels.dtype == np.uint8
