"""From the last context to files in memory: what is composed onto what, and in which formats it is written."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import numpy as np
from pydantic import Field, field_validator

from facecraft.imaging import codecs, compositing
from facecraft.imaging.image import Alpha, Image, Pixels
from facecraft.options import Color, Options, rgb
from facecraft.pipelines.stage import Context


class Format(StrEnum):
    """A format that results are written in."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    AVIF = "avif"

    @property
    def media_type(self) -> str:
        return f"image/{self.value}"

    @property
    def suffix(self) -> str:
        """The usual file name ending, without a dot."""
        return "jpg" if self is Format.JPEG else self.value


class EncodeOptions(Options):
    """How results are written."""

    formats: Annotated[tuple[Format, ...], Field(min_length=1, max_length=4)] = (Format.PNG, Format.JPEG)
    """Formats to write. PNG, WebP and AVIF keep transparency."""
    fill: Color = "#f0f0f0"
    """Colour behind transparent parts where the format has no transparency (JPEG)."""
    jpeg_max_kb: Annotated[int, Field(ge=0, le=100_000)] = 99
    """Largest JPEG in KiB, reached by lowering quality, then size; 0 sets no limit."""
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    """Quality of JPEG, WebP and AVIF; for a JPEG over its limit, where the search starts."""
    dpi: Annotated[int, Field(ge=1, le=2400)] = 300
    """Resolution written into the file, in dots per inch."""

    @field_validator("formats", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            value = value.split(",")
        if isinstance(value, list | tuple):
            parts = [part.strip().lower() for item in value for part in str(item).split(",")]
            return tuple(dict.fromkeys("jpeg" if part == "jpg" else part for part in parts))
        return value


@dataclass(frozen=True, slots=True)
class Output:
    """One finished file in memory."""

    format: Format
    data: bytes
    width: int
    height: int
    quality: int | None
    """Quality that was used, for formats that have one."""
    within_limit: bool
    """False when the JPEG is larger than asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Composition:
    """A result in memory before it is written: colours, and how opaque each pixel is (None: all of it)."""

    pixels: Pixels
    alpha: Alpha | None

    def rgba(self) -> Pixels:
        """The picture with transparency (hidden pixels zeroed); without any it stays RGB."""
        if self.alpha is None:
            return self.pixels
        return compositing.with_alpha(self.pixels, self.alpha)

    def flat(self, color: tuple[int, int, int]) -> Pixels:
        """The picture on a plain ``color``."""
        if self.alpha is None:
            return self.pixels
        return compositing.over(self.pixels, self.alpha, color)

    def image(self) -> Image:
        """The picture as an :class:`Image`, RGBA where it has transparency."""
        return Image(self.rgba())


def compose(context: Context) -> Composition:
    """Put subject, backdrop and shape of the last context together."""
    pixels, alpha = context.canvas, context.alpha
    if context.backdrop is not None:
        if alpha is not None:
            pixels = compositing.over(pixels, alpha, context.backdrop)
        alpha = None
    elif alpha is None:
        alpha = context.coverage
    if context.shape is not None:
        alpha = context.shape if alpha is None else alpha * context.shape
    if alpha is not None and bool(np.all(alpha >= 1.0)):
        alpha = None
    return Composition(np.ascontiguousarray(pixels), alpha)


def _lossless(composition: Composition, options: EncodeOptions) -> Output:
    pixels = composition.rgba()
    data = codecs.encode_png(pixels, dpi=options.dpi)
    return Output(Format.PNG, data, pixels.shape[1], pixels.shape[0], None, True)


def _jpeg(composition: Composition, options: EncodeOptions) -> Output:
    pixels = composition.flat(rgb(options.fill))
    if options.jpeg_max_kb == 0:
        data = codecs.encode_jpeg(pixels, quality=options.quality, dpi=options.dpi)
        return Output(Format.JPEG, data, pixels.shape[1], pixels.shape[0], options.quality, True)
    found = codecs.encode_jpeg_under(
        pixels, max_bytes=options.jpeg_max_kb * 1024, quality=options.quality, dpi=options.dpi
    )
    return Output(Format.JPEG, found.data, found.size.width, found.size.height, found.quality, found.fits)


def _webp(composition: Composition, options: EncodeOptions) -> Output:
    pixels = composition.rgba()
    data = codecs.encode_webp(pixels, quality=options.quality)
    return Output(Format.WEBP, data, pixels.shape[1], pixels.shape[0], options.quality, True)


def _avif(composition: Composition, options: EncodeOptions) -> Output:
    pixels = composition.rgba()
    data = codecs.encode_avif(pixels, quality=options.quality)
    return Output(Format.AVIF, data, pixels.shape[1], pixels.shape[0], options.quality, True)


_WRITERS: dict[Format, Callable[[Composition, EncodeOptions], Output]] = {
    Format.PNG: _lossless,
    Format.JPEG: _jpeg,
    Format.WEBP: _webp,
    Format.AVIF: _avif,
}


def encode(composition: Composition, options: EncodeOptions) -> tuple[Output, ...]:
    """Write every format asked for, side by side. Raises UnsupportedFormatError where this build lacks one."""
    writers = [_WRITERS[name] for name in options.formats]
    if len(writers) == 1:
        return (writers[0](composition, options),)
    with ThreadPoolExecutor(len(writers), thread_name_prefix="encode") as pool:
        return tuple(pool.map(lambda write: write(composition, options), writers))
