"""Between H×W×3 pictures and the 1×3×H×W planes that most ONNX networks take and give."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecraft.errors import ModelLoadError
from facecraft.imaging.image import Pixels
from facecraft.inference.session import Session, Tensor, TensorSpec

Channels: TypeAlias = tuple[float, float, float]
"""One number for each of red, green and blue."""

ZERO: Channels = (0.0, 0.0, 0.0)
HALF: Channels = (0.5, 0.5, 0.5)
ONE: Channels = (1.0, 1.0, 1.0)
IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
"""Mean of ImageNet's training pictures in 0..1, red first (torchvision)."""
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)
"""Their standard deviation."""


def to_planes(
    pixels: Pixels,
    *,
    mean: Channels = ZERO,
    std: Channels = ONE,
    full: float = 255.0,
    bgr: bool = False,
    dtype: np.dtype[np.floating] | type[np.floating] = np.float32,
) -> Tensor:
    """Return ``(pixels / full − mean) / std`` of an H×W×3 RGB picture as 1×3×H×W; blue comes first with ``bgr``."""
    height, width = pixels.shape[:2]
    planes = np.empty((1, 3, height, width), np.float32)
    for channel in range(3):
        plane = planes[0, 2 - channel if bgr else channel]
        np.multiply(pixels[:, :, channel], np.float32(1 / (full * std[channel])), out=plane, dtype=np.float32)
        if mean[channel]:
            plane -= np.float32(mean[channel] / std[channel])
    return planes.astype(dtype, copy=False)


def to_pixels(planes: Tensor, *, scale: float = 255.0, shift: float = 0.0) -> Pixels:
    """Return 3×H×W ``planes · scale + shift`` as an H×W×3 RGB picture, rounded and limited to 0..255."""
    levels: NDArray[np.float32] = planes.astype(np.float32) * np.float32(scale)
    levels += np.float32(shift)
    np.rint(levels, out=levels)
    np.clip(levels, 0, 255, out=levels)
    # Bytes first: turning the axes around then moves a quarter of the memory.
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))


def picture_input(session: Session, work: str, *, channels: int = 3) -> TensorSpec:
    """Return the only input that takes a picture (N×C×H×W floats). Raises ModelLoadError when there is none such."""
    found = [spec for spec in session.inputs if len(spec.shape) == 4]
    if len(found) != 1 or found[0].shape[1] not in (channels, None) or found[0].dtype.kind != "f":
        inputs = ", ".join(map(str, session.inputs)) or "nothing"
        raise ModelLoadError(f"This is not a network for {work}: it takes {inputs}.")
    return found[0]


def square_side(spec: TensorSpec, default: int, work: str) -> int:
    """Return the side of the square picture that ``spec`` takes, ``default`` where the graph leaves it open.

    Raises ModelLoadError when the picture is not square or has another side than ``default``.
    """
    height, width = spec.shape[2:]
    if (height or default) != (width or default) or (height or default) != default:
        raise ModelLoadError(f"This network for {work} takes {spec} and not {default}×{default} pixels.")
    return default


def first_picture(session: Session, work: str, channels: int) -> TensorSpec:
    """Return the first output, a picture of ``channels``. Raises ModelLoadError when it is something else."""
    spec = session.outputs[0] if session.outputs else None
    if spec is None or len(spec.shape) != 4 or spec.shape[1] not in (channels, None):
        raise ModelLoadError(f"This is not a network for {work}: it gives {spec or 'nothing'}.")
    return spec
