"""InspireFace, an optional native library with packs of its own, typed. It works on pictures, not on tensors.

https://github.com/HyperInspire/InspireFace. The library holds one pack per process, and a pack keeps the faces of its
last picture, so one caller at a time uses it; others wait.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from facecraft.errors import DeviceMemoryError, InferenceError, ModelLoadError, ProviderUnavailableError
from facecraft.imaging.geometry import Box, Points
from facecraft.imaging.image import Pixels
from facecraft.inference.runtimes import INSPIREFACE
from facecraft.inference.session import closed_error

_T = TypeVar("_T")

_MOST_FACES = 100
_SIDE = 320
"""Input side of the detector, a multiple of 160."""


@dataclass(frozen=True, slots=True, eq=False)
class InspireFinding:
    """One face, in pixels of the picture."""

    box: Box
    score: float
    landmarks: Points
    """5×2: image-left eye, image-right eye, nose tip, image-left and image-right mouth corner."""


class InspirePack:
    """A loaded resource pack (Pikachu, Megatron). A pool can keep it; it can also be leased from itself.

    Nothing is fetched. Raises RuntimeMissingError when the library is not installed, ProviderUnavailableError when it
    does not run on this platform, ModelLoadError when the file is no pack or another pack is loaded.
    """

    def __init__(self, path: str | os.PathLike[str], *, min_score: float = 0.5) -> None:
        self._name = Path(path).name
        self._library = _library(self._name)
        self._lock = Lock()
        self._session: Any = self._open(Path(path), min_score)  # the library has no types
        self._size = Path(path).stat().st_size

    def _open(self, path: Path, min_score: float) -> Any:
        library = self._library
        if not path.is_file():
            raise ModelLoadError(f"{self._name} cannot be read.", detail=str(path))
        try:
            library.disable_logging()
            # Asked to load a second pack, the library would go on with the first one.
            if library.query_launch_status():
                raise ModelLoadError(
                    f"{self._name} cannot be loaded beside another InspireFace pack.",
                    hint="Use one InspireFace pack in one process.",
                )
            library.launch(resource_path=os.fspath(path))
            session = library.InspireFaceSession(
                library.HF_ENABLE_FACE_RECOGNITION,
                library.HF_DETECT_MODE_ALWAYS_DETECT,
                max_detect_num=_MOST_FACES,
                detect_pixel_level=_SIDE,
                auto_launch=False,
            )
            session.set_detection_confidence_threshold(min_score)
        except library.InspireFaceError as error:
            raise ModelLoadError(
                f"{self._name} is damaged or is not an InspireFace pack.",
                hint="Run `facecraft models verify` to find damaged files.",
                detail=str(error),
            ) from error
        return session

    @property
    def size_bytes(self) -> int:
        """Estimated resident memory in bytes."""
        return self._size

    @contextmanager
    def lease(self) -> Iterator[InspirePack]:
        """Lend it, as a pool does."""
        yield self

    def close(self) -> None:
        """Unload the pack once the call under way has finished. Further calls raise InferenceError."""
        with self._lock:
            if self._session is None:
                return
            session, self._session = self._session, None
            try:
                session.release()
                self._library.terminate()
            except self._library.InspireFaceError as error:
                raise InferenceError(f"{self._name} could not be unloaded.", detail=str(error)) from error

    def detect(self, rgb: Pixels) -> list[InspireFinding]:
        """Return the faces in an H×W×3 uint8 RGB picture, best score first. Raises InferenceError."""
        found = self._call(
            rgb, lambda session, stream: [self._read(session, f) for f in session.face_detection(stream)]
        )
        return sorted(found, key=lambda finding: -finding.score)

    def embed(self, rgb: Pixels) -> NDArray[np.float32] | None:
        """Return the raw vector (float32) of the face nearest to the middle of an H×W×3 uint8 RGB picture, if any.

        Raises InferenceError.
        """
        middle = rgb.shape[1] / 2, rgb.shape[0] / 2

        def work(session: Any, stream: Any) -> NDArray[np.float32] | None:
            faces = session.face_detection(stream)
            if not faces:
                return None
            nearest = min(faces, key=lambda face: _distance(self._read(session, face).box.center, middle))
            return np.asarray(session.face_feature_extract(stream, nearest), np.float32)

        return self._call(rgb, work)

    def _call(self, rgb: Pixels, work: Callable[[Any, Any], _T]) -> _T:
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            shape = "×".join(map(str, rgb.shape))
            raise InferenceError(f"InspireFace expects H×W×3 uint8 and got {shape} {rgb.dtype}.")
        picture = np.ascontiguousarray(rgb)
        library = self._library
        with self._lock:
            if self._session is None:
                raise closed_error(self._name)
            try:
                with library.ImageStream.load_from_cv_image(picture, library.HF_STREAM_RGB) as stream:
                    return work(self._session, stream)
            except MemoryError as error:
                raise DeviceMemoryError(detail=f"{self._name}: {error}") from error
            except library.InspireFaceError as error:
                raise InferenceError(f"{self._name} could not run on this input.", detail=str(error)) from error

    @staticmethod
    def _read(session: Any, face: Any) -> InspireFinding:
        x1, y1, x2, y2 = (float(side) for side in face.location)
        five = np.asarray(session.get_face_five_key_points(face), np.float64).reshape(5, 2)
        return InspireFinding(Box(x1, y1, x2, y2), float(face.detection_confidence), five)


class InspireSource(Protocol):
    """Where an adapter gets its pack: :class:`InspirePack` itself, or a pool's handle on one."""

    def lease(self) -> AbstractContextManager[InspirePack]:
        """Lend the pack for the time of a ``with`` block."""
        ...


def _distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2


def _library(network: str) -> ModuleType:
    try:
        import inspireface  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise INSPIREFACE.missing(network, error) from error
    except (RuntimeError, OSError) as error:
        # The package is pure Python around a shared library, which exists for few systems.
        raise ProviderUnavailableError(
            "InspireFace is not available on this platform.",
            hint="Use SCRFD and ArcFace instead: they run wherever ONNX Runtime does.",
            detail=str(error),
        ) from error
    module: ModuleType = inspireface
    return module
