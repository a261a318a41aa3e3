"""Descriptors are unit vectors of the chip dlib was trained on, whichever landmarks the face has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from facecraft.errors import InferenceError
from facecraft.faces.face import Face
from facecraft.faces.landmarks import dlib_landmarks, five_points
from facecraft.imaging.geometry import Box, Transform
from facecraft.imaging.image import Image
from facecraft.models.embedders import DlibDescriptor, dlib_chip

# Eye corners and nose base of dlib's mean face in a 150 pixel chip with a padding of a quarter.
CHIP = (
    np.array([[0.85957, 0.21350], [0.64606, 0.22897], [0.12058, 0.21373], [0.33409, 0.22906], [0.49011, 0.62780]]) + 0.25
) / 1.5 * 150  # fmt: skip


class ScriptedNet:
    def __init__(self, scale: float) -> None:
        self._scale = scale
        self.seen: list[NDArray[np.uint8]] = []

    def compute(self, rgb_chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.seen.append(rgb_chips)
        return np.full((len(rgb_chips), 128), self._scale, np.float32)


def _face_with_five() -> Face:
    place = Transform.similarity(scale=1.4, degrees=15, source=(75, 75), target=(200, 180))
    dense = dlib_landmarks(place(CHIP), 0.9)
    return Face(Box(100, 80, 300, 280), 0.9, five_points(dense), dense)


def _dots(face: Face) -> Image:
    assert face.dense is not None
    pixels = np.zeros((400, 400, 3), np.uint8)
    for x, y in face.dense.points[:, :2].round().astype(int):
        pixels[y - 2 : y + 3, x - 2 : x + 3, 0] = 255
    return Image(pixels)


def test_the_landmarks_lie_where_dlib_wants_them_and_red_stays_red() -> None:
    face = _face_with_five()
    chip = dlib_chip(_dots(face), face)
    assert chip.shape == (150, 150, 3)
    for x, y in CHIP.round().astype(int):
        assert chip[y - 1 : y + 2, x - 1 : x + 2, 0].mean() > 150
    assert not chip[:, :, 1:].any()


def test_five_landmarks_alone_give_nearly_the_same_chip() -> None:
    face = _face_with_five()
    image = _dots(face)
    chip = dlib_chip(image, replace(face, dense=None)).astype(float)[:, :, 0]
    rows, columns = np.nonzero(chip > 100)
    nearest = np.linalg.norm(np.stack([columns, rows], axis=1)[:, None] - CHIP[None], axis=2).min(axis=1)
    assert nearest.max() < 9


def test_vectors_have_length_one_and_keep_their_order() -> None:
    net, face = ScriptedNet(3.0), _face_with_five()
    vectors = DlibDescriptor(net).embed(_dots(face), [face, face])
    assert (vectors.shape, vectors.dtype) == ((2, 128), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-6)
    assert net.seen[0].shape == (2, 150, 150, 3)


def test_no_faces_give_no_vectors_without_running() -> None:
    net = ScriptedNet(1.0)
    assert DlibDescriptor(net).embed(_dots(_face_with_five()), []).shape == (0, 128)
    assert net.seen == []


def test_an_empty_vector_is_an_error() -> None:
    face = _face_with_five()
    with pytest.raises(InferenceError, match="empty vector"):
        DlibDescriptor(ScriptedNet(0.0)).embed(_dots(face), [face])
