"""From the last context to files in memory: what is composed onto what, and in which formats it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, field_validator

from facecraft.imaging import codecs, compositing
from facecraft.imaging.codecs import Encoded, OutputFormat
from facecraft.imaging.image import Alpha, Image, Pixels
from facecraft.options import Color, rgb
from facecraft.pipelines.stage import Context


class EncodeOptions(codecs.EncodeOptions):
    """How results are written."""

    formats: Annotated[tuple[OutputFormat, ...], Field(min_length=1, max_length=4)] = (
        OutputFormat.PNG,
        OutputFormat.JPEG,
    )
    """Formats to write (comma list). PNG, WebP and AVIF keep transparency."""
    fill: Color = "#f0f0f0"
    """Colour behind transparent parts where the format has no transparency (JPEG)."""

    @field_validator("formats", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            value = value.split(",")
        if isinstance(value, list | tuple):
            parts = [part.strip().lower() for item in value for part in str(item).split(",")]
            return tuple(dict.fromkeys("jpeg" if part == "jpg" else part for part in parts))
        return value


@dataclass(frozen=True, slots=True, eq=False)
class Composition:
    """A result in memory before it is written: colours, and how opaque each pixel is (None: all of it)."""

    pixels: Pixels
    alpha: Alpha | None
    provenance: str | None = None
    """The IPTC digital source type that files of it shall name."""

    def rgba(self) -> Pixels:
        """The picture with transparency (hidden pixels zeroed); without any it stays RGB."""
        return self.pixels if self.alpha is None else compositing.cutout(self.pixels, self.alpha)

    def flat(self, color: str) -> Pixels:
        """The picture on a plain ``color`` (``#rrggbb``)."""
        if self.alpha is None:
            return self.pixels
        plain = np.empty_like(self.pixels)
        plain[:] = rgb(color)
        return compositing.over(self.pixels, self.alpha, plain)

    def image(self) -> Image:
        """The picture as an :class:`Image`, RGBA where it has transparency."""
        return Image(self.rgba())


def compose(context: Context) -> Composition:
    """Put subject, backdrop and shape of the last context together."""
    pixels, alpha = context.canvas, context.alpha
    if context.uncut:
        alpha = context.coverage
    elif context.backdrop is not None:
        if alpha is not None:
            pixels = compositing.over(pixels, alpha, context.backdrop)
        alpha = None
    elif alpha is None:
        alpha = context.coverage
    if context.shape is not None:
        alpha = context.shape if alpha is None else alpha * context.shape
    if alpha is not None and float(alpha.min()) >= 1.0:
        alpha = None
    return Composition(np.ascontiguousarray(pixels), alpha, context.provenance)


def encode(composition: Composition, options: EncodeOptions) -> tuple[Encoded, ...]:
    """Write every format asked for. Raises UnsupportedFormatError where this build lacks one."""

    def write(output: OutputFormat) -> Encoded:
        pixels = composition.flat(options.fill) if output is OutputFormat.JPEG else composition.rgba()
        return codecs.encode(pixels, output, options, provenance=composition.provenance)

    # One after the other: a PNG takes all cores by itself, and the others are quick or would only wait for it.
    return tuple(write(output) for output in options.formats)
