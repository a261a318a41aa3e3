"""What a person may choose about a finished picture: its outline, its tone, its files.

Apart from the pixels they steer, so that printing the help of a program loads no picture library.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from facecraft.options import Fraction, Options


class Shape(StrEnum):
    """The outline of a portrait."""

    OVAL = "oval"
    ROUNDED = "rounded"
    CIRCLE = "circle"
    NONE = "none"


class ToneOptions(Options):
    """How light and colour are improved; each from 0 (not at all) to 1 (strongly)."""

    exposure: Fraction = 0.6
    """Brighten a subject that is too dark, or calm one that is too bright."""
    white_balance: Fraction = 0.6
    """Take out a colour cast of the light; skin keeps its colour."""
    contrast: Fraction = 0.5
    """Give a flat picture depth; a picture with depth is left alone."""
    saturation: Fraction = 0.15
    """Make pale colours livelier; strong colours and skin are held back."""
    sharpen: Fraction = 0.3
    """Sharpen detail inside the subject at output size."""
    denoise: Fraction = 0.0
    """Smooth noise and leave edges."""


class OutputFormat(StrEnum):
    """A format a finished picture can be written in."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    AVIF = "avif"

    @property
    def media_type(self) -> str:
        return f"image/{self.value}"

    @property
    def suffix(self) -> str:
        """The ending of a file name, with its dot."""
        return ".jpg" if self is OutputFormat.JPEG else f".{self.value}"


Quality = Annotated[int, Field(ge=1, le=100)]


class EncodeOptions(Options):
    """How finished pictures are written."""

    dpi: Annotated[int, Field(ge=1, le=2400)] = 300
    """Dots per inch written into PNG and JPEG files (WebP and AVIF have no place for it)."""
    png_level: Annotated[int, Field(ge=1, le=9)] = 1
    """PNG compression from 1 (fast) to 9 (small); never changes a pixel."""
    jpeg_quality: Quality = 92
    """The best JPEG quality to use."""
    jpeg_min_quality: Quality = 50
    """The lowest JPEG quality the size limit may lead to before the picture is made smaller instead."""
    jpeg_max_kb: Annotated[int, Field(ge=0, le=100_000)] = 99
    """The largest JPEG file in kilobytes of 1024 bytes; 0 means no limit."""
    jpeg_min_scale: Annotated[float, Field(ge=0.1, le=1.0, allow_inf_nan=False)] = 0.5
    """How far a JPEG may be scaled down to stay below its size limit; 1 forbids it."""
    webp_quality: Quality = 90
    """WebP quality."""
    avif_quality: Quality = 75
    """AVIF quality."""
