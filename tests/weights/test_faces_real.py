"""Finding, measuring, framing and comparing real faces with the real networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from facecraft.faces.face import Face
from facecraft.faces.framing import frame
from facecraft.faces.search import find_faces
from facecraft.imaging.geometry import Size, Transform
from facecraft.imaging.image import Image
from facecraft.imaging.resample import resize, warp
from facecraft.inference.dlib import DlibDescriptorNet, DlibDetector, DlibShapePredictor
from facecraft.inference.litert import LiteRtSession
from facecraft.inference.onnx import OnnxSession
from facecraft.models.detectors import FULL_RANGE, SHORT_RANGE, BlazeFace, DlibHog, YuNet
from facecraft.models.embedders import DlibDescriptor
from facecraft.models.landmarkers import DlibPredictor, FaceMesh

FRAME = Size(648, 648)


def _installed(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        pytest.skip(f"{name} is not installed in {folder}")
    return folder / name


@pytest.fixture(scope="module")
def far(models_dir: Path) -> Iterator[BlazeFace]:
    session = LiteRtSession(_installed(models_dir, "face_detection_full_range_sparse.tflite"), threads=1)
    yield BlazeFace(session, FULL_RANGE)
    session.close()


@pytest.fixture(scope="module")
def near(models_dir: Path) -> Iterator[BlazeFace]:
    session = LiteRtSession(_installed(models_dir, "face_detection_short_range.tflite"), threads=1)
    yield BlazeFace(session, SHORT_RANGE)
    session.close()


@pytest.fixture(scope="module")
def mesh(models_dir: Path) -> Iterator[FaceMesh]:
    session = LiteRtSession(_installed(models_dir, "face_landmark.tflite"), threads=1)
    yield FaceMesh(session)
    session.close()


@pytest.fixture(scope="module")
def yunet(yunet_file: Path) -> Iterator[YuNet]:
    session = OnnxSession(yunet_file, threads=1)
    yield YuNet(session)
    session.close()


Find = Callable[[Image], tuple[Face, ...]]


@pytest.fixture(scope="module")
def find(far: BlazeFace, near: BlazeFace, mesh: FaceMesh) -> Find:
    return lambda image: find_faces(image, [far.detect, near.detect], locate=mesh.locate)


def _photo(folder: Path, name: str) -> Image:
    from PIL import Image as Pillow

    with Pillow.open(folder / name) as picture:
        return Image(np.asarray(picture.convert("RGB")))


def _level(face: Face, transform: Transform) -> float:
    left, right = transform(face.landmarks)[:2]
    return float(np.degrees(np.arctan2(right[1] - left[1], right[0] - left[0])))


def test_both_ranges_find_the_astronaut_as_surely_as_published(
    astronaut: Image, near: BlazeFace, far: BlazeFace
) -> None:
    (close,), (wide,) = near.detect(astronaut), far.detect(astronaut)
    assert close.score == pytest.approx(0.921, abs=0.01)
    assert wide.score == pytest.approx(0.905, abs=0.01)
    assert close.box.iou(wide.box) > 0.7


def test_yunet_and_blazeface_agree(astronaut: Image, near: BlazeFace, yunet: YuNet) -> None:
    (blaze,), (other,) = near.detect(astronaut), yunet.detect(astronaut)
    assert blaze.box.iou(other.box) >= 0.6
    eyes = np.linalg.norm(blaze.landmarks[1] - blaze.landmarks[0])
    assert np.linalg.norm(blaze.landmarks[:3] - other.landmarks[:3], axis=1).max() < 0.25 * eyes


def test_dlib_finds_the_astronaut_too(astronaut: Image, near: BlazeFace) -> None:
    pytest.importorskip("dlib")
    (face,) = DlibHog(DlibDetector()).detect(astronaut)
    assert face.box.iou(near.detect(astronaut)[0].box) > 0.5


@pytest.mark.parametrize("name", ["shape_predictor_68_face_landmarks.dat", "shape_predictor_5_face_landmarks.dat"])
def test_dlib_points_and_mesh_see_the_same_eyes(astronaut: Image, find: Find, models_dir: Path, name: str) -> None:
    pytest.importorskip("dlib")
    from facecraft.faces.landmarks import five_points

    (face,) = find(astronaut)
    dense = DlibPredictor(DlibShapePredictor(_installed(models_dir, name))).locate(astronaut, face)
    assert dense is not None
    eyes = np.linalg.norm(face.landmarks[1] - face.landmarks[0])
    assert np.linalg.norm(five_points(dense)[:2] - face.landmarks[:2], axis=1).max() < 0.06 * eyes


@pytest.mark.parametrize("degrees", [-150, -90, -35, 20, 90, 180])
def test_a_turned_face_is_framed_like_the_upright_one(astronaut: Image, find: Find, degrees: float) -> None:
    (upright,) = find(astronaut)
    turn = Transform.similarity(scale=1.0, degrees=degrees, source=upright.box.center, target=(400, 400))
    turned = Image(warp(astronaut.rgb, turn, Size(800, 800)).pixels)
    (face,) = find(turned)
    assert abs((face.roll - upright.roll - degrees + 180) % 360 - 180) < 1.5
    there, here = turn.then(frame(face, FRAME)), frame(upright, FRAME)
    assert abs(_level(upright, there)) < 1.5
    eyes_there, eyes_here = (t(upright.landmarks)[:2].mean(axis=0) for t in (there, here))
    assert np.abs(eyes_there - eyes_here).max() < 0.03 * FRAME.width
    assert there.scale / here.scale == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("pixels", [40, 90, 250, 700])
def test_a_face_of_any_size_is_framed_alike(astronaut: Image, find: Find, pixels: int) -> None:
    (upright,) = find(astronaut)
    place = Transform.similarity(
        scale=pixels / upright.box.width, degrees=0, source=upright.box.center, target=(450, 420)
    )
    (face,) = find(Image(warp(astronaut.rgb, place, Size(1000, 900)).pixels))
    there, here = place.then(frame(face, FRAME)), frame(upright, FRAME)
    assert abs(_level(upright, there)) < 2.5
    assert there.scale / here.scale == pytest.approx(1, abs=0.07)


def test_a_face_that_is_partly_outside_stays_on_the_axis(astronaut: Image, find: Find) -> None:
    (whole,) = find(astronaut)
    x = round(whole.box.x1 + 0.12 * whole.box.width)
    cut = Image(np.ascontiguousarray(astronaut.rgb[:, x:]))
    (face,) = find(cut)
    eyes = frame(face, FRAME)(whole.landmarks - [x, 0])[:2]
    assert eyes.mean(axis=0)[0] == pytest.approx(323.5, abs=0.03 * FRAME.width)


def test_small_faces_in_a_twelve_megapixel_picture_are_counted(astronaut: Image, find: Find) -> None:
    (one,) = find(astronaut)
    face = astronaut.rgb[0:300, 80:380]
    pixels = np.full((3000, 4000, 3), 90, np.uint8)
    spots = [(500, 400, 1.0), (1800, 2000, 1.4), (3300, 700, 0.9)]
    for x, y, scale in spots:
        small = resize(face, Size(round(300 * scale), round(300 * scale)))
        pixels[y : y + small.shape[0], x : x + small.shape[1]] = small
    faces = find(Image(pixels))
    assert len(faces) == len(spots)
    middle = np.array(one.box.center) - [80, 0]
    for found, (x, y, scale) in zip(faces, spots, strict=True):
        assert np.abs(np.array(found.box.center) - (middle * scale + [x, y])).max() < 30


@pytest.mark.parametrize(
    "name", ["coffee", "rocket", "chelsea", "brick", "grass", "coins", "hubble_deep_field", "clock"]
)
def test_pictures_without_people_have_no_face(find: Find, name: str) -> None:
    from skimage import data

    pixels = getattr(data, name)()
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=-1)
    assert find(Image(np.ascontiguousarray(pixels))) == ()


@pytest.mark.parametrize(("name", "count"), [("obama.jpg", 1), ("obama2.jpg", 1), ("obama_and_biden.jpg", 3)])
def test_every_face_of_a_photo_is_counted(shared_photos: Path, find: Find, name: str, count: int) -> None:
    assert len(find(_photo(shared_photos, name))) == count


def test_one_person_matches_and_another_does_not(shared_photos: Path, find: Find, models_dir: Path) -> None:
    pytest.importorskip("dlib")
    network = DlibDescriptorNet(_installed(models_dir, "dlib_face_recognition_resnet_model_v1.dat"))
    embedder = DlibDescriptor(network)
    vectors = [embedder.embed(image, find(image)) for image in (_photo(shared_photos, n) for n in
               ("obama.jpg", "obama2.jpg", "obama_and_biden.jpg"))]  # fmt: skip
    first, second, (biden, third, *_) = vectors[0][0], vectors[1][0], vectors[2]
    assert min(first @ second, first @ third, second @ third) > 0.93
    assert max(first @ biden, second @ biden, third @ biden) < 0.88
