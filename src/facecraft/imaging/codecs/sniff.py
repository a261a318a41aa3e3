"""What a file is, told from its first bytes only; and how large its picture claims to be.

Nothing here allocates pixels: a header may lie about a gigapixel picture and costs nothing to refuse.
"""

from __future__ import annotations

import struct

from facecraft.errors import EmptyInputError, UnsupportedFormatError
from facecraft.imaging.geometry import Size

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}

# Formats that people send by mistake, by their first bytes. Order matters: the first match wins.
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript file"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\x00\x00\x01\x00", "a Windows icon"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"OggS", "a sound or video file"),
    (b"ID3", "a sound file"),
    (b"FUJIFILM", "a raw camera photo"),
)


def sniff(data: bytes) -> str:
    """Return the format of ``data`` from its magic bytes: jpeg, png, webp, bmp, tiff, gif, heif or avif.

    Raises EmptyInputError for no bytes and UnsupportedFormatError, naming what the file looks like, for the rest.
    """
    if not data:
        raise EmptyInputError
    if (known := _known(data[:64])) is not None:
        return known
    raise UnsupportedFormatError(f"The file is {_describe(data)}, not a picture format that Facecraft reads.")


def _known(head: bytes) -> str | None:  # noqa: PLR0911 - one answer per format
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith((b"II*\0", b"MM\0*")) and head[8:10] != b"CR":
        return "tiff"
    # "BM" alone is two letters of text: the size of the info header makes it a bitmap.
    if (
        head.startswith(b"BM")
        and len(head) >= 18
        and struct.unpack_from("<I", head, 14)[0] in {12, 40, 52, 56, 108, 124}
    ):
        return "bmp"
    if head[4:8] == b"ftyp":
        brands = {head[i : i + 4] for i in range(8, min(len(head), int.from_bytes(head[:4], "big")), 4)}
        if head[8:12] in _AVIF_BRANDS or (brands & _AVIF_BRANDS and not brands & (_HEIF_BRANDS - {b"mif1", b"msf1"})):
            return "avif"
        if head[8:12] in _HEIF_BRANDS or brands & {b"heic", b"heix"}:
            return "heif"
    return None


def _describe(data: bytes) -> str:  # noqa: PLR0911 - one answer per kind
    head = data[:1024]
    for magic, name in _FOREIGN:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return "a video"
    if head[8:10] == b"CR" and head[:2] in {b"II", b"MM"}:
        return "a raw camera photo"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in text):
        return "an SVG drawing"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if text.startswith(b"<?xml"):
        return "an XML file"
    try:
        decoded = head[: len(head) - 4 if len(data) > len(head) else None].decode("utf-8")
    except UnicodeDecodeError:
        return "of an unknown kind"
    return "a text file" if all(c.isprintable() or c in "\t\r\n\f" for c in decoded) else "of an unknown kind"


def claimed_size(data: bytes, kind: str) -> Size | None:  # noqa: PLR0911 - one answer per format
    """The size that the header of a png, jpeg, webp, gif or bmp file states, or None where it states none here.

    Read by hand because some decoders reserve memory for the whole picture as soon as the file is opened.
    """
    try:
        match kind:
            case "png":
                return Size(*struct.unpack_from(">II", data, 16)) if data[12:16] == b"IHDR" else None
            case "gif":
                return Size(*struct.unpack_from("<HH", data, 6))
            case "bmp":
                if struct.unpack_from("<I", data, 14)[0] == 12:
                    return Size(*struct.unpack_from("<HH", data, 18))
                width, height = struct.unpack_from("<ii", data, 18)
                return Size(abs(width), abs(height))
            case "webp":
                return _webp_size(data)
            case "jpeg":
                return jpeg_layout(data)[0]
    except struct.error:
        pass
    return None


def _webp_size(data: bytes) -> Size | None:
    match data[12:16]:
        case b"VP8X":
            return Size(1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little"))
        case b"VP8L":
            bits = int(struct.unpack_from("<I", data, 21)[0])
            return Size(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return Size(width & 0x3FFF, height & 0x3FFF)
    return None


def jpeg_layout(data: bytes) -> tuple[Size | None, int | None]:
    """Walk the segments of a JPEG: the size its frame header states, and where the first scan begins.

    Either is None when the file ends, or stops making sense, before it.
    """
    size: Size | None = None
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return size, None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC} and at + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = Size(width, height)
        if marker == 0xDA:
            return size, at + 2 + length
        if marker == 0xD9 or length < 2:
            return size, None
        at += 2 + length
    return size, None
