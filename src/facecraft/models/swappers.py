"""Face swappers: networks that put the identity of one face onto an aligned crop of another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facecraft.errors import InferenceError, ModelLoadError
from facecraft.faces.alignment import ARCFACE_128, FaceTemplate
from facecraft.imaging.image import Alpha, Pixels
from facecraft.inference.onnx_initializers import initializers, read_initializer
from facecraft.inference.session import Session, Tensor, TensorSpec
from facecraft.models.planes import HALF, first_picture, picture_input, square_side, to_pixels, to_planes
from facecraft.models.protocols import SwappedFace

_WORK = "face swap"
_DIMENSIONS = 512
_MAP_NAME = "buff2fs"
"""The name under which inswapper's own export appends the map."""


class InSwapper:
    """InsightFace's inswapper 128: ``target`` 1×3×128×128 RGB in 0..1 and ``source`` 1×512 to 1×3×128×128 RGB in 0..1.

    ``source`` is the unit embedding of ``w600k_r50`` times the map ``emap`` (512×512 float32), divided by its own length as
    InsightFace does (https://github.com/deepinsight/insightface, python-package/insightface/model_zoo/inswapper.py).
    Raises ModelLoadError when the network or the map has another form.
    """

    def __init__(self, session: Session, emap: NDArray[np.float32], size: int = 128) -> None:
        if emap.shape != (_DIMENSIONS, _DIMENSIONS) or not np.isfinite(emap).all():
            raise ModelLoadError(f"The identity map of this swapper is {emap.shape} and not 512×512 numbers.")
        self._session, self._emap = session, emap.astype(np.float32)
        self._target, self._source, self._size = _inputs(session, size)
        self._output = first_picture(session, _WORK, 3).name

    @property
    def template(self) -> FaceTemplate:
        """How crops are aligned."""
        return ARCFACE_128

    @property
    def size(self) -> int:
        """The side of the crops in pixels."""
        return self._size

    def swap(self, crop: Pixels, identity: NDArray[np.float32]) -> SwappedFace:
        """Return the S×S×3 RGB ``crop`` with the face of ``identity`` (512 numbers). Raises InferenceError."""
        latent = _unit(_unit(identity) @ self._emap)
        planes = to_planes(_checked(crop, self._size), dtype=self._target.dtype)
        answer = self._session.run(
            {self._target.name: planes, self._source.name: latent[np.newaxis].astype(self._source.dtype)}
        )[self._output]
        return SwappedFace(to_pixels(_finite(answer)[0]), None)


class HyperSwap:
    """FaceFusion Labs' HyperSwap 256: ``target`` 1×3×256×256 RGB in −1..1, ``source`` 1×512 unit embedding.

    Gives a picture in −1..1 and a mask 1×1×256×256 in 0..1 of what it drew. Raises ModelLoadError for another form.
    """

    def __init__(self, session: Session, size: int = 256) -> None:
        self._session = session
        self._target, self._source, self._size = _inputs(session, size)
        first_picture(session, _WORK, 3)

    @property
    def template(self) -> FaceTemplate:
        """How crops are aligned."""
        return ARCFACE_128

    @property
    def size(self) -> int:
        """The side of the crops in pixels."""
        return self._size

    def swap(self, crop: Pixels, identity: NDArray[np.float32]) -> SwappedFace:
        """Return the S×S×3 RGB ``crop`` with the face of ``identity`` (512 numbers), and where it was drawn."""
        planes = to_planes(_checked(crop, self._size), mean=HALF, std=HALF, dtype=self._target.dtype)
        outputs = self._session.run(
            {self._target.name: planes, self._source.name: _unit(identity)[np.newaxis].astype(self._source.dtype)}
        )
        picture = _finite(outputs[self._session.outputs[0].name])
        return SwappedFace(to_pixels(picture[0], scale=127.5, shift=127.5), self._drawn(outputs))

    def _drawn(self, outputs: Mapping[str, Tensor]) -> Alpha | None:
        for spec in self._session.outputs[1:]:
            if outputs[spec.name].size == self._size * self._size:
                return outputs[spec.name].reshape(self._size, self._size).astype(np.float32).clip(0, 1)
        return None


def read_emap(path: Path) -> NDArray[np.float32]:
    """Return the 512×512 identity map in the inswapper file at ``path``, float32.

    It is a constant of the graph that no node takes: the publisher appended it last and named it ``buff2fs``; other
    tools rename it or change the order. Raises ModelLoadError when no constant, or more than one, can be it.
    """
    square = [each for each in initializers(path) if each.shape == (_DIMENSIONS, _DIMENSIONS)]
    for candidates in (
        [each for each in square if each.name == _MAP_NAME],
        [each for each in square if not each.used],
        square,
    ):
        if len(candidates) == 1:
            return read_initializer(path, candidates[0])
    raise ModelLoadError(
        f"{path.name} has {len(square)} matrices that could be its identity map, and not one.",
        hint="Use the file as it was published: simplified copies lose the map.",
    )


def _inputs(session: Session, size: int) -> tuple[TensorSpec, TensorSpec, int]:
    """Target and source by shape: exports differ in the order of the inputs."""
    target = picture_input(session, _WORK)
    others = [spec for spec in session.inputs if spec != target]
    if len(others) != 1 or len(others[0].shape) != 2 or others[0].shape[1] not in (_DIMENSIONS, None):
        raise ModelLoadError(f"This is not a network for {_WORK}: it takes {', '.join(map(str, session.inputs))}.")
    return target, others[0], square_side(target, size, _WORK)


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = np.asarray(vector, np.float32).reshape(-1)
    length = float(np.linalg.norm(flat))
    if flat.shape != (_DIMENSIONS,) or not length > 0 or not np.isfinite(length):
        raise InferenceError(f"An identity is {_DIMENSIONS} numbers with a length, not {np.shape(vector)}.")
    return (flat / np.float32(length)).astype(np.float32)


def _checked(crop: Pixels, size: int) -> Pixels:
    if crop.shape != (size, size, 3):
        raise InferenceError(f"The swapper takes {size}×{size}×3 pixels and got {crop.shape}.")
    return crop


def _finite(picture: Tensor) -> Tensor:
    if not np.isfinite(picture).all():
        raise InferenceError("The swapper gave values that are not numbers.", hint="Use the float32 network.")
    return picture
