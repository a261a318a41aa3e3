"""What adapters of aligned crops have in common: pixels to tensors, batches, and a check of the graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from facecraft.errors import DeviceMemoryError, InferenceError, ModelLoadError
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Size, Transform
from facecraft.imaging.image import Image, Pixels
from facecraft.imaging.resample import glance
from facecraft.inference.session import Session, Tensor, TensorSpec

MOST_AT_ONCE = 32
"""So many crops go through a network in one run; more would only cost memory."""


def require(session: Session, kind: str, *, fits: bool) -> None:
    """Raise ModelLoadError, which says what the graph has, unless it ``fits`` what an adapter of ``kind`` needs."""
    if not fits:
        raise ModelLoadError(
            f"This network is not {kind}: it takes {_listed(session.inputs)} and gives {_listed(session.outputs)}.",
            hint="The file belongs to another model; run `facecraft models verify`.",
        )


def _listed(specs: Iterable[TensorSpec]) -> str:
    return ", ".join(map(str, specs)) or "nothing"


def is_shape(spec: TensorSpec, *sides: int | None) -> bool:
    """Whether ``spec`` has these sides; None stands for any, and so does a side that the graph leaves open.

    A graph may also keep the whole shape of an output to itself; then nothing is known before it runs.
    """
    return not spec.shape or (
        len(spec.shape) == len(sides)
        and all(got is None or wanted is None or got == wanted for got, wanted in zip(spec.shape, sides, strict=True))
    )


def takes_crops(session: Session, side: int) -> bool:
    """Whether the only input is N×3×side×side float32 with N open or 1."""
    if len(session.inputs) != 1:
        return False
    spec = session.inputs[0]
    return (
        spec.dtype == np.float32
        and len(spec.shape) == 4
        and is_shape(spec, None, 3, side, side)
        and spec.shape[0] in (None, 1)
    )


def planar(
    pixels: NDArray[np.uint8],
    *,
    mean: float | Sequence[float] = 0.0,
    scale: float | Sequence[float] = 1.0,
    bgr: bool = False,
) -> NDArray[np.float32]:
    """Return N×H×W×3 RGB ``pixels`` as N×3×H×W float32, ``(pixel - mean) * scale``.

    ``mean`` and ``scale`` stand in the order of the network's channels: RGB, or BGR with ``bgr``.
    """
    ordered = pixels[..., ::-1] if bgr else pixels
    # Turning bytes is four times cheaper than turning floats.
    tensor = np.ascontiguousarray(ordered.transpose(0, 3, 1, 2)).astype(np.float32)
    if np.any(np.asarray(mean)):
        tensor -= np.asarray(mean, np.float32).reshape(-1, 1, 1)
    if np.any(np.asarray(scale) != 1.0):
        tensor *= np.asarray(scale, np.float32).reshape(-1, 1, 1)
    return tensor


def run_crops(session: Session, tensor: NDArray[np.float32]) -> Mapping[str, Tensor]:
    """Run a one-input network over N crops: all in one run where it takes batches, else one after the other.

    Returns its outputs with N rows. Raises InferenceError.
    """
    step = session.inputs[0].shape[0] or MOST_AT_ONCE
    if min(step, len(tensor)) > 1:
        try:
            together = _run_parts(session, tensor, step)
        except DeviceMemoryError:
            raise
        except InferenceError:
            # Some exports leave the batch side open and yet fold everything into one row further on.
            return _run_parts(session, tensor, 1)
        if all(len(rows) == len(tensor) for rows in together.values()):
            return together
    return _run_parts(session, tensor, 1)


def _run_parts(session: Session, tensor: NDArray[np.float32], step: int) -> Mapping[str, Tensor]:
    name = session.inputs[0].name
    parts = [session.run({name: tensor[start : start + step]}) for start in range(0, len(tensor), step)]
    if len(parts) == 1:
        return parts[0]
    return {spec.name: np.concatenate([np.atleast_1d(part[spec.name]) for part in parts]) for spec in session.outputs}


def shaped(tensor: Tensor, *sides: int) -> Tensor:
    """Return ``tensor`` with these sides. Raises InferenceError when it has another number of values."""
    if tensor.size != math.prod(sides):
        wanted, got = "×".join(map(str, sides)), "×".join(map(str, tensor.shape))
        raise InferenceError(f"The network gave {got} values instead of {wanted}.")
    return tensor.reshape(sides)


def box_crop(image: Image, face: Face, side: int, pixels_across: float) -> tuple[Pixels, Transform]:
    """Cut a ``side``×``side``×3 crop with the box in its middle and its longer side ``pixels_across`` pixels long.

    The face is turned upright by its roll. Returns also the map from picture to crop pixels.
    """
    there = Transform.similarity(
        scale=pixels_across / max(face.box.width, face.box.height, 1.0),
        degrees=-face.roll,
        source=face.box.center,
        target=(side / 2, side / 2),
    )
    return glance(image.rgb, there, Size(side, side)), there
