"""InspireFace behind its wrapper: what is asked of the library, and what becomes of its troubles.

The library stands in for itself here: its packs may not be shipped. What it is asked is its public Python API (1.2.4).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from facecraft.errors import (
    InferenceError,
    ModelLoadError,
    NoFaceFoundError,
    ProviderUnavailableError,
    RuntimeMissingError,
)
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Image
from facecraft.inference.inspireface import InspirePack
from facecraft.models.inspireface import InspireDetector, InspireEmbedder

FIVE = np.array([[30.0, 40], [50, 40], [40, 50], [32, 60], [48, 60]])


@dataclass
class Found:
    location: tuple[int, int, int, int]
    detection_confidence: float


class StandIn(ModuleType):
    """The parts of the ``inspireface`` package that are used, over faces that the test places."""

    HF_ENABLE_FACE_RECOGNITION = 2
    HF_DETECT_MODE_ALWAYS_DETECT = 0
    HF_STREAM_RGB = 0

    class InspireFaceError(Exception):
        pass

    def __init__(self) -> None:  # noqa: C901  a library in miniature
        super().__init__("inspireface")
        self.launched: str | None = None
        self.sessions = 0
        self.faces: list[Found] = []
        self.seen: list[np.ndarray] = []
        self.trouble: Exception | None = None
        outer = self

        class ImageStream:
            def __init__(self, pixels: np.ndarray) -> None:
                self.pixels = pixels

            @classmethod
            def load_from_cv_image(cls, pixels: np.ndarray, kind: int) -> ImageStream:
                assert kind == outer.HF_STREAM_RGB
                return cls(pixels)

            def __enter__(self) -> ImageStream:
                return self

            def __exit__(self, *args: object) -> None:
                return None

        class InspireFaceSession:
            def __init__(
                self, param: int, mode: int, *, max_detect_num: int, detect_pixel_level: int, auto_launch: bool
            ):
                assert (param, mode, auto_launch) == (2, 0, False)
                assert max_detect_num >= 10
                assert detect_pixel_level % 160 == 0
                outer.sessions += 1

            def set_detection_confidence_threshold(self, threshold: float) -> None:
                assert threshold == 0.5

            def face_detection(self, stream: ImageStream) -> list[Found]:
                if outer.trouble is not None:
                    raise outer.trouble
                outer.seen.append(stream.pixels)
                return outer.faces

            def get_face_five_key_points(self, face: Found) -> np.ndarray:
                return FIVE + face.location[:2]

            def face_feature_extract(self, stream: ImageStream, face: Found) -> np.ndarray:
                assert stream.pixels.shape == (320, 320, 3)
                return np.array([3.0, 4.0 * face.detection_confidence], np.float32)

            def release(self) -> None:
                outer.sessions -= 1

        self.ImageStream, self.InspireFaceSession = ImageStream, InspireFaceSession

    def disable_logging(self) -> None: ...

    def query_launch_status(self) -> bool:
        return self.launched is not None

    def launch(self, *, resource_path: str) -> bool:
        if Path(resource_path).read_bytes() != b"pack":
            raise self.InspireFaceError("HERR_ARCHIVE_FILE_FORMAT_ERROR")
        self.launched = resource_path
        return True

    def terminate(self) -> bool:
        self.launched = None
        return True


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    made = StandIn()
    monkeypatch.setitem(sys.modules, "inspireface", made)
    yield made
    assert made.sessions == 0, "a session was left open"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Pikachu"
    path.write_bytes(b"pack")
    return path


def test_faces_come_with_boxes_scores_and_landmarks_best_first(library: StandIn, file: Path) -> None:
    library.faces = [Found((0, 0, 20, 30), 0.6), Found((10, 10, 60, 80), 0.9)]
    pack = InspirePack(file)
    picture = np.zeros((100, 120, 3), np.uint8)
    picture[..., 0] = 200
    first, second = InspireDetector(pack).detect(Image(picture))
    assert (first.box, first.score) == (Box(10, 10, 60, 80), 0.9)
    assert np.array_equal(first.landmarks, FIVE + 10)
    assert second.score == 0.6
    assert library.seen[0].shape == (100, 120, 3)
    assert (library.seen[0][..., 0] == 200).all(), "the library was told RGB"
    assert pack.size_bytes == 4
    pack.close()


def test_every_face_is_shown_upright_and_alone_and_the_nearest_to_the_middle_counts(
    library: StandIn, file: Path
) -> None:
    library.faces = [Found((0, 0, 40, 40), 1.0), Found((100, 100, 220, 220), 0.5)]
    pack = InspirePack(file)
    embedder = InspireEmbedder(pack, "inspireface_pikachu_embedding")
    face = Face(Box(10, 10, 60, 60), 0.9, FIVE)
    vectors = embedder.embed(Image(np.zeros((100, 100, 3), np.uint8)), [face, face])
    assert vectors == pytest.approx(np.tile(np.array([3.0, 2.0]) / np.hypot(3, 2), (2, 1)))
    assert vectors.dtype == np.float32
    assert [each.shape for each in library.seen] == [(320, 320, 3)] * 2
    library.faces = []
    with pytest.raises(NoFaceFoundError, match="inspireface_pikachu_embedding"):
        embedder.embed(Image(np.zeros((100, 100, 3), np.uint8)), [face])
    pack.close()


def test_a_second_pack_is_refused_until_the_first_is_closed(library: StandIn, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "Megatron"
    other.write_bytes(b"pack")
    first = InspirePack(file)
    with pytest.raises(ModelLoadError, match="Megatron cannot be loaded beside another InspireFace pack"):
        InspirePack(other)
    first.close()
    first.close()
    second = InspirePack(other)
    assert library.launched == str(other)
    second.close()
    with pytest.raises(InferenceError, match="closed"):
        second.detect(np.zeros((10, 10, 3), np.uint8))


def test_troubles_of_the_library_become_errors_of_ours(library: StandIn, file: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"nothing")
    with pytest.raises(ModelLoadError, match="damaged or is not an InspireFace pack"):
        InspirePack(damaged)
    with pytest.raises(ModelLoadError, match="cannot be read"):
        InspirePack(tmp_path / "absent")
    pack = InspirePack(file)
    library.trouble = library.InspireFaceError("HERR_SESS")
    with pytest.raises(InferenceError, match="could not run") as caught:
        pack.detect(np.zeros((10, 10, 3), np.uint8))
    assert caught.value.detail == "HERR_SESS"
    with pytest.raises(InferenceError, match="expects H×W×3 uint8"):
        pack.detect(np.zeros((10, 10), np.uint8))
    pack.close()


def test_without_the_package_the_command_is_named(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setitem(sys.modules, "inspireface", None)
    with pytest.raises(RuntimeMissingError) as caught:
        InspirePack(file)
    assert "facecraft[inspireface]" in (caught.value.hint or "")


def test_on_a_platform_without_the_library_it_is_not_available(
    monkeypatch: pytest.MonkeyPatch, file: Path, tmp_path: Path
) -> None:
    package = tmp_path / "packages" / "inspireface"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('Unsupported platform: system=plan9, machine=vax')")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(sys.modules, "inspireface", raising=False)
    with pytest.raises(ProviderUnavailableError, match="not available on this platform") as caught:
        InspirePack(file)
    assert "plan9" in (caught.value.detail or "")


def test_the_stand_in_has_the_api_of_the_package() -> None:
    real: Any = pytest.importorskip("inspireface")
    names = ("ImageStream", "InspireFaceSession", "InspireFaceError", "launch", "terminate", "query_launch_status")
    assert all(hasattr(real, name) for name in (*names, "HF_STREAM_RGB", "HF_ENABLE_FACE_RECOGNITION"))
