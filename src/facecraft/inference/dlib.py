"""dlib's detector, shape predictors and face descriptor, typed. dlib works on pictures, not on tensors.

dlib's objects keep scratch memory of their own, so one caller at a time uses each; others wait.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from facecraft.errors import DeviceMemoryError, InferenceError, ModelLoadError
from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Pixels
from facecraft.inference.runtimes import DLIB
from facecraft.inference.session import closed_error

_T = TypeVar("_T")

CHIP_SIDE = 150
"""Side of the aligned chips that the descriptor network reads."""
DESCRIPTOR_LENGTH = 128
# dlib unpacks the built-in detector into filter banks of about this size.
_HOG_BYTES = 4 * 1024 * 1024


class Native:
    """An object of dlib's, its lock and its end. A pool can keep it; it can also be leased from itself."""

    def __init__(self, name: str, native: Any, size_bytes: int) -> None:  # dlib has no types
        self._name, self._native, self._size = name, native, size_bytes
        self._lock = Lock()

    @property
    def size_bytes(self) -> int:
        """Estimated resident memory in bytes."""
        return self._size

    @contextmanager
    def lease(self) -> Iterator[Native]:
        """Lend it, as a pool does."""
        yield self

    def close(self) -> None:
        """Give the memory back once the call under way has finished. Further calls raise InferenceError."""
        with self._lock:
            self._native = None

    def call(self, work: Callable[[Any], _T]) -> _T:
        """Return what ``work`` does with dlib's object, one caller at a time. Raises InferenceError."""
        with self._lock:
            if self._native is None:
                raise closed_error(self._name)
            try:
                return work(self._native)
            except MemoryError as error:
                raise DeviceMemoryError(detail=f"{self._name}: {error}") from error
            except (RuntimeError, ValueError, TypeError) as error:
                raise InferenceError(f"{self._name} could not run on this input.", detail=str(error)) from error


class Lendable(Protocol):
    """Where a wrapper gets its native object: :class:`Native` itself, or a pool's handle on one."""

    def lease(self) -> AbstractContextManager[Native]:
        """Lend the object for the time of a ``with`` block."""
        ...


FilePath: TypeAlias = str | os.PathLike[str]


def load_detector() -> Native:
    """Return dlib's frontal face detector. Raises RuntimeMissingError."""
    return Native("The dlib detector", _dlib().get_frontal_face_detector(), _HOG_BYTES)


def load_shape_predictor(path: FilePath) -> Native:
    """Return the shape predictor in a file. Raises ModelLoadError, RuntimeMissingError."""
    return _load(path, _dlib().shape_predictor)


def load_descriptor_net(path: FilePath) -> Native:
    """Return the descriptor network in a file. Raises ModelLoadError, RuntimeMissingError."""
    return _load(path, _dlib().face_recognition_model_v1)


class DlibDetector:
    """dlib's frontal face detector (HOG and a linear classifier; King, arXiv 1502.00046). It needs no file.

    ``source`` is a pool's handle on it; without one it is loaded at once. Raises RuntimeMissingError.
    """

    def __init__(self, source: Lendable | None = None) -> None:
        self._source: Lendable = source or load_detector()

    def detect(self, rgb: Pixels, upsample: int = 0, threshold: float = 0.0) -> list[tuple[Box, float]]:
        """Return boxes in pixels of ``rgb`` (H×W×3 uint8) with their scores, best first.

        A score is the distance to the hyperplane, about 0 to 3; ``threshold`` moves it. ``upsample`` doubles the
        picture so many times first, for faces below 80 pixels. Raises InferenceError.
        """
        _require_rgb(rgb)
        picture = np.ascontiguousarray(rgb)
        with self._source.lease() as native:
            boxes, scores, _ = native.call(lambda detector: detector.run(picture, upsample, threshold))
        # dlib's right and bottom pixels belong to the box.
        return [
            (Box(box.left(), box.top(), box.right() + 1, box.bottom() + 1), float(score))
            for box, score in zip(boxes, scores, strict=True)
        ]


class DlibShapePredictor:
    """A shape predictor (Kazemi, Sullivan, CVPR 2014): 68 or 5 points, whichever the file was trained for.

    ``source`` is the file, or a pool's handle on it. Raises ModelLoadError, RuntimeMissingError.
    """

    def __init__(self, source: FilePath | Lendable) -> None:
        self._source: Lendable = load_shape_predictor(source) if isinstance(source, str | os.PathLike) else source

    def predict(self, rgb: Pixels, box: Box) -> NDArray[np.float64]:
        """Return N×2 points in pixels of ``rgb`` (H×W×3 uint8) for the face in ``box``. Raises InferenceError."""
        _require_rgb(rgb)
        picture = np.ascontiguousarray(rgb)
        corners = _dlib().rectangle(round(box.x1), round(box.y1), round(box.x2) - 1, round(box.y2) - 1)
        with self._source.lease() as native:
            shape = native.call(lambda predictor: predictor(picture, corners))
        return np.array([(point.x, point.y) for point in shape.parts()], np.float64).reshape(-1, 2)


class DlibDescriptorNet:
    """dlib's ResNet face descriptor (https://github.com/davisking/dlib-models).

    ``source`` is the file, or a pool's handle on it. Raises ModelLoadError, RuntimeMissingError.
    """

    def __init__(self, source: FilePath | Lendable) -> None:
        self._source: Lendable = load_descriptor_net(source) if isinstance(source, str | os.PathLike) else source

    def compute(self, rgb_chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return N×128 raw descriptors of N×150×150×3 uint8 RGB chips (padding 0.25). Raises InferenceError."""
        expected = (CHIP_SIDE, CHIP_SIDE, 3)
        if rgb_chips.dtype != np.uint8 or rgb_chips.ndim != 4 or rgb_chips.shape[1:] != expected:
            given = "×".join(map(str, rgb_chips.shape))
            raise InferenceError(f"The descriptor network expects N×150×150×3 uint8 and got {given} {rgb_chips.dtype}.")
        if len(rgb_chips) == 0:
            return np.zeros((0, DESCRIPTOR_LENGTH), np.float32)
        chips = [np.ascontiguousarray(chip) for chip in rgb_chips]
        with self._source.lease() as native:
            vectors = native.call(lambda network: network.compute_face_descriptor(chips))
        return np.array([np.array(vector) for vector in vectors], np.float32)


def _dlib() -> ModuleType:
    try:
        import dlib  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise DLIB.missing("This model", error) from error
    module: ModuleType = dlib
    return module


def _load(path: FilePath, loader: Callable[[str], Any]) -> Native:
    try:
        return Native(Path(path).name, loader(os.fspath(path)), Path(path).stat().st_size)
    except (RuntimeError, OSError, MemoryError) as error:
        raise ModelLoadError(
            f"{Path(path).name} is damaged or is not a dlib model of this kind.",
            hint="Run `facecraft models verify` to find damaged files.",
            detail=str(error),
        ) from error


def _require_rgb(rgb: Pixels) -> None:
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise InferenceError(f"dlib expects H×W×3 uint8 and got {'×'.join(map(str, rgb.shape))} {rgb.dtype}.")
