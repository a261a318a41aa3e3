"""Bytes to pixels and back: what a file is, what it would cost, its pixels upright in sRGB, and four output formats."""

from facecraft.imaging.choices import EncodeOptions, OutputFormat
from facecraft.imaging.codecs.decode import Probe, decode, decode_file, from_array, probe
from facecraft.imaging.codecs.encode import (
    Encoded,
    JpegResult,
    encode,
    encode_avif,
    encode_jpeg,
    encode_jpeg_under,
    encode_webp,
)
from facecraft.imaging.codecs.png import encode_png
from facecraft.imaging.codecs.provenance import TRAINED_COMPOSITE
from facecraft.imaging.codecs.sniff import sniff

__all__ = [
    "TRAINED_COMPOSITE",
    "EncodeOptions",
    "Encoded",
    "JpegResult",
    "OutputFormat",
    "Probe",
    "decode",
    "decode_file",
    "encode",
    "encode_avif",
    "encode_jpeg",
    "encode_jpeg_under",
    "encode_png",
    "encode_webp",
    "from_array",
    "probe",
    "sniff",
]
