from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from facecraft.errors import InferenceError, ModelLoadError
from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Image
from facecraft.inference.dlib import DlibDescriptorNet, DlibDetector, DlibShapePredictor, load_detector
from facecraft.inference.pool import SessionPool

pytest.importorskip("dlib")


def installed(models_dir: Path, name: str) -> Path:
    path = models_dir / name
    if not path.is_file():
        pytest.skip(f"{name} is not installed")
    return path


def test_the_detector_finds_the_astronaut(astronaut: Image) -> None:
    ((box, score),) = DlibDetector().detect(astronaut.rgb)
    assert box.iou(Box(175, 70, 275, 175)) > 0.6
    assert score > 1


def test_a_lower_threshold_finds_more_and_nothing_is_found_in_grey(astronaut: Image) -> None:
    detector = DlibDetector()
    assert len(detector.detect(astronaut.rgb, 0, -1.0)) > 1
    assert detector.detect(np.full((200, 200, 3), 128, np.uint8)) == []


def test_scores_come_best_first(astronaut: Image) -> None:
    scores = [score for _, score in DlibDetector().detect(astronaut.rgb, 0, -1.0)]
    assert scores == sorted(scores, reverse=True)


def test_small_faces_need_upsampling(astronaut: Image) -> None:
    small = np.ascontiguousarray(astronaut.rgb[::2, ::2])
    detector = DlibDetector()
    assert detector.detect(small) == []
    box, _ = detector.detect(small, upsample=1)[0]
    assert box.iou(Box(88, 35, 138, 88)) > 0.5


def test_it_is_lent_by_a_pool(astronaut: Image) -> None:
    with SessionPool() as pool:
        detector = DlibDetector(pool.resource("dlib_hog", load_detector))
        assert pool.states() == {}
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda _: detector.detect(astronaut.rgb), range(8)))
        assert all(each == found[0] for each in found)
        assert pool.states()["dlib_hog"].runs == 8


def test_a_closed_detector_refuses(astronaut: Image) -> None:
    native = load_detector()
    detector = DlibDetector(native)
    native.close()
    with pytest.raises(InferenceError, match="closed"):
        detector.detect(astronaut.rgb)


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4)])
def test_other_pictures_are_refused_in_words(shape: tuple[int, ...]) -> None:
    with pytest.raises(InferenceError, match="H×W×3 uint8"):
        DlibDetector().detect(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("kind", [DlibShapePredictor, DlibDescriptorNet])
def test_a_broken_file_is_a_load_error(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "broken.dat"
    for content in (b"", b"not a model"):
        path.write_bytes(content)
        with pytest.raises(ModelLoadError, match=r"broken\.dat"):
            kind(path)
    with pytest.raises(ModelLoadError, match=r"none\.dat"):
        kind(tmp_path / "none.dat")


def test_five_points_of_the_astronaut(models_dir: Path, astronaut: Image) -> None:
    predictor = DlibShapePredictor(installed(models_dir, "shape_predictor_5_face_landmarks.dat"))
    ((box, _),) = DlibDetector().detect(astronaut.rgb)
    points = predictor.predict(astronaut.rgb, box)
    assert (points.shape, points.dtype) == ((5, 2), np.float64)
    # Corners of the image-right eye, of the image-left eye, base of the nose.
    assert points[0, 0] > points[1, 0] > points[4, 0] > points[3, 0] > points[2, 0]
    assert points[4, 1] > points[:4, 1].max() + 15


def test_a_descriptor_tells_pictures_apart_and_batches_agree(models_dir: Path, astronaut: Image) -> None:
    network = DlibDescriptorNet(installed(models_dir, "dlib_face_recognition_resnet_model_v1.dat"))
    chips = np.stack([astronaut.rgb[40:190, 150:300], astronaut.rgb[45:195, 152:302], astronaut.rgb[300:450, 200:350]])
    together = network.compute(chips)
    assert (together.shape, together.dtype) == ((3, 128), np.float32)
    alone = np.concatenate([network.compute(chip[None]) for chip in chips])
    assert np.allclose(together, alone, atol=1e-5)
    same, other = np.linalg.norm(together[0] - together[1]), np.linalg.norm(together[0] - together[2])
    assert same < other
    assert network.compute(chips[:0]).shape == (0, 128)
    with pytest.raises(InferenceError, match="150×150×3"):
        network.compute(chips[:, :100])
