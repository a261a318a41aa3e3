"""`Image` and `Mask`, the two pictures everything passes around, and the limits they are read under."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
"""H×W×3 (RGB) or H×W×4 (RGBA, straight alpha), uint8, 0..255."""

Alpha: TypeAlias = NDArray[np.float32]
"""H×W float32 in 0..1: how much of each pixel belongs to the subject."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Where a picture came from, as far as its own bytes say. Nothing personal is kept."""

    format: str = "raw"
    """Lower-case format name: jpeg, png, webp, heif, avif, tiff, bmp, gif or raw."""
    size_bytes: int = 0
    orientation: int = 1
    """The EXIF orientation (1..8) that was undone while reading."""
    had_profile: bool = False
    """Whether an ICC profile other than sRGB was converted."""
    frames: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A read-only picture in sRGB: H×W×3 RGB or H×W×4 RGBA (straight alpha), uint8.

    Raises ValueError when the array has another shape or type.
    """

    pixels: Pixels
    source: SourceInfo = field(default_factory=SourceInfo)

    def __post_init__(self) -> None:
        p = self.pixels
        if p.dtype != np.uint8 or p.ndim != 3 or p.shape[2] not in (3, 4) or 0 in p.shape:
            raise ValueError(f"an Image is HxWx3 or HxWx4 uint8, not {p.shape} {p.dtype}")
        if p.flags.writeable:
            view = p.view()
            view.flags.writeable = False
            object.__setattr__(self, "pixels", view)

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def has_alpha(self) -> bool:
        return int(self.pixels.shape[2]) == 4

    @property
    def rgb(self) -> Pixels:
        """The H×W×3 colour part (a view)."""
        return self.pixels[:, :, :3]

    @property
    def alpha(self) -> Alpha | None:
        """The alpha channel as float32 in 0..1, or None for an opaque picture."""
        if not self.has_alpha:
            return None
        return self.pixels[:, :, 3].astype(np.float32) / np.float32(255)


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A soft, read-only mask: float32 H×W in 0..1. Raises ValueError for another shape, type or range."""

    values: Alpha

    def __post_init__(self) -> None:
        v = self.values
        if v.dtype != np.float32 or v.ndim != 2 or 0 in v.shape:
            raise ValueError(f"a Mask is HxW float32, not {v.shape} {v.dtype}")
        low, high = float(v.min()), float(v.max())
        if not (low >= 0.0 and high <= 1.0):  # also refuses NaN
            raise ValueError(f"a Mask holds values in 0..1, not {low}..{high}")
        if v.flags.writeable:
            view = v.view()
            view.flags.writeable = False
            object.__setattr__(self, "values", view)

    @property
    def width(self) -> int:
        return int(self.values.shape[1])

    @property
    def height(self) -> int:
        return int(self.values.shape[0])


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture may cost before it is refused. Checked before pixels are decoded."""

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 50_000_000
    max_side: int = 65_535
    """The longest side that JPEG can have; memory is bounded by ``max_pixels``."""
