"""The mesh finds a face wherever the detector puts its box, and says so when there is none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from facecraft.faces.alignment import FFHQ_512
from facecraft.faces.face import Face
from facecraft.faces.landmarks import MESH_LEFT_EYE, MESH_RIGHT_EYE, five_points
from facecraft.faces.mesh_mirror import MESH_MIRROR
from facecraft.imaging.geometry import Box, Transform
from facecraft.imaging.image import Image, Pixels
from facecraft.inference.session import Tensor, TensorSpec
from facecraft.models.landmarkers import DlibPredictor, FaceMesh


class ScriptedMesh:
    """A mesh network that always answers with the same points in crop pixels."""

    device = "cpu"
    size_bytes = 0

    def __init__(self, mesh: NDArray[np.float32], logits: list[float]) -> None:
        self.inputs = (TensorSpec("in", (1, 192, 192, 3), np.dtype(np.float32)),)
        self.outputs = (
            TensorSpec("mesh", (1, 1, 1, 1404), np.dtype(np.float32)),
            TensorSpec("presence", (1, 1, 1, 1), np.dtype(np.float32)),
        )
        self._mesh, self._logits = mesh, logits
        self.seen: list[Tensor] = []

    def run(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        logit = self._logits[min(len(self.seen), len(self._logits) - 1)]
        self.seen.append(inputs["in"])
        return {"mesh": self._mesh.reshape(1, 1, 1, 1404), "presence": np.full((1, 1, 1, 1), logit, np.float32)}

    def close(self) -> None: ...


def _mesh() -> NDArray[np.float32]:
    """A mirror-symmetric cloud of 468 points, 128 pixels wide (192 / 1.5), with level eyes."""
    points = np.zeros((468, 3), np.float32)
    rng = np.random.default_rng(1)
    for i, j in enumerate(MESH_MIRROR):
        if i <= j:
            x, y, z = rng.uniform(4, 50), rng.uniform(-60, 60), rng.uniform(-20, 20)
            points[i], points[j] = (-x, y, z), (x, y, z)
        if i == j:
            points[i, 0] = 0
    for left, right in zip(MESH_LEFT_EYE, MESH_RIGHT_EYE, strict=True):
        points[left], points[right] = (-30, -20, 0), (30, -20, 0)
    points[234], points[454], points[10], points[152] = (-64, 0, 0), (64, 0, 0), (0, -64, 0), (0, 64, 0)
    return points + np.array([96, 96, 0], np.float32)


def _face(degrees: float = 0.0) -> Face:
    place = Transform.similarity(scale=0.5, degrees=degrees, source=(256, 256), target=(200, 150))
    return Face(Box(140, 90, 260, 210), 0.9, place(FFHQ_512.scaled(512)))


def _picture() -> Image:
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[:] = (255, 51, 0)
    return Image(pixels)


def test_the_network_sees_red_first_from_zero_to_one() -> None:
    session = ScriptedMesh(_mesh(), [5.0])
    assert FaceMesh(session, passes=1).locate(_picture(), _face()) is not None
    assert (session.seen[0].shape, session.seen[0].dtype) == ((1, 192, 192, 3), np.float32)
    assert session.seen[0][0, 96, 96] == pytest.approx([1.0, 0.2, 0.0])


def test_points_come_back_in_picture_pixels_with_depth_in_the_same_scale() -> None:
    mesh = _mesh()
    dense = FaceMesh(ScriptedMesh(mesh, [5.0]), passes=1).locate(_picture(), _face())
    assert dense is not None
    assert dense.scheme == "mesh468"
    # A box of 120 pixels and half as much again: 180 picture pixels on 192 crop pixels, about the middle of the box.
    expected = (mesh[:, :2] - 96) * 180 / 192 + [200, 150]
    # The eye line of the face is not exactly level: a tenth of a degree.
    assert dense.points[:, :2] == pytest.approx(expected, abs=0.2)
    assert dense.points[:, 2] == pytest.approx(mesh[:, 2] * 180 / 192, abs=1e-3)
    assert dense.score == pytest.approx(1 / (1 + np.exp(-5.0)))


def test_a_tilted_face_is_shown_upright() -> None:
    dense = FaceMesh(ScriptedMesh(_mesh(), [5.0]), passes=1).locate(_picture(), _face(30))
    assert dense is not None
    left, right = five_points(dense)[:2]
    assert np.degrees(np.arctan2(*(right - left)[::-1])) == pytest.approx(30, abs=0.2)


def test_no_presence_means_no_face() -> None:
    assert FaceMesh(ScriptedMesh(_mesh(), [-0.1])).locate(_picture(), _face()) is None
    assert FaceMesh(ScriptedMesh(_mesh(), [4.0, -4.0])).locate(_picture(), _face()) is None
    assert FaceMesh(ScriptedMesh(_mesh(), [0.1])).locate(_picture(), _face()) is not None


def test_a_mesh_that_keeps_turning_ends() -> None:
    mesh = _mesh()
    for index in MESH_RIGHT_EYE:
        mesh[index, 1] += 40
    session = ScriptedMesh(mesh, [5.0])
    FaceMesh(session, passes=2, mirror=False).locate(_picture(), _face())
    assert len(session.seen) == 5


def test_a_settled_mesh_takes_two_passes_and_a_mirrored_one() -> None:
    session = ScriptedMesh(_mesh(), [5.0])
    FaceMesh(session).locate(_picture(), _face())
    assert len(session.seen) == 3
    assert session.seen[2] == pytest.approx(session.seen[1][:, :, ::-1])


def test_the_mirror_table_is_its_own_inverse_and_swaps_the_eyes() -> None:
    assert [MESH_MIRROR[MESH_MIRROR[i]] for i in range(468)] == list(range(468))
    assert [MESH_MIRROR[i] for i in MESH_LEFT_EYE] == list(MESH_RIGHT_EYE)
    assert MESH_MIRROR[61] == 291
    assert MESH_MIRROR[4] == 4


class ScriptedShape:
    def __init__(self, count: int) -> None:
        self._count = count
        self.seen: list[tuple[Pixels, Box]] = []

    def predict(self, rgb: Pixels, box: Box) -> NDArray[np.float64]:
        self.seen.append((rgb, box))
        return np.tile([[box.center[0], box.center[1]]], (self._count, 1))


@pytest.mark.parametrize(("count", "scheme"), [(5, "dlib5"), (68, "ibug68")])
@pytest.mark.parametrize("degrees", [0, 90, 180])
def test_dlib_predicts_on_an_upright_crop(count: int, scheme: str, degrees: float) -> None:
    shape = ScriptedShape(count)
    dense = DlibPredictor(shape).locate(_picture(), _face(degrees))
    assert dense is not None
    assert (dense.scheme, dense.points.shape) == (scheme, (count, 3))
    (crop, box), face = shape.seen[0], _face(degrees)
    assert crop.shape == (256, 256, 3)
    assert box.center == pytest.approx((128, 128))
    middle = face.landmarks[:2].mean(axis=0) * 0.55 + face.landmarks[3:].mean(axis=0) * 0.45
    assert dense.points[0, :2] == pytest.approx(middle, abs=1e-6)


def test_another_number_of_points_is_refused() -> None:
    with pytest.raises(ValueError, match="5 or 68"):
        DlibPredictor(ScriptedShape(7)).locate(_picture(), _face())
