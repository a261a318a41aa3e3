"""dlib's ResNet descriptor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facecraft.errors import InferenceError
from facecraft.faces.alignment import align_points
from facecraft.faces.face import Face
from facecraft.faces.landmarks import MESH_NOSE_BASE
from facecraft.imaging.geometry import Points
from facecraft.imaging.image import Image, Pixels
from facecraft.inference.dlib import CHIP_SIDE, DESCRIPTOR_LENGTH, DlibDescriptorNet

_PADDING = 0.25
"""dlib's own padding around the mean face."""

# Outer and inner corner of the image-right eye, of the image-left eye, and the base of the nose in dlib's mean face
# (get_face_chip_details in dlib/image_transforms/interpolation.h, Boost licence).
_MEAN_FIVE = (
    (0.8595674595992, 0.2134981538014),
    (0.6460604764104, 0.2289674387677),
    (0.1205750620789, 0.2137274526848),
    (0.3340850613712, 0.2290642403242),
    (0.4901123135679, 0.6277975316475),
)
_MESH_FIVE = (263, 362, 33, 133, MESH_NOSE_BASE)
_IBUG_FIVE = (45, 42, 36, 39, 33)

# Where our own five landmarks (eye centres, nose tip, mouth corners) lie in the same chip: measured, median of portraits
# aligned by eye corners and nose base, made symmetric about the nose.
_MEAN_LANDMARKS = (
    (0.2225, 0.2135),
    (0.7577, 0.2135),
    (0.4901, 0.5111),
    (0.2201, 0.7548),
    (0.7600, 0.7548),
)


def _in_chip(points: tuple[tuple[float, float], ...], side: int) -> Points:
    return (np.array(points, np.float64) + _PADDING) / (2 * _PADDING + 1) * side


def dlib_chip(image: Image, face: Face, side: int = CHIP_SIDE) -> Pixels:
    """Cut the ``side``×``side``×3 chip of dlib's ``get_face_chip`` (padding 0.25) out of ``image``.

    Eye corners and the base of the nose are taken from dense landmarks when the face has them, else the five landmarks
    are fitted to where they lie in such a chip.
    """
    dense = face.dense
    if dense is not None and dense.scheme == "mesh468":
        points, target = dense.points[list(_MESH_FIVE), :2], _MEAN_FIVE
    elif dense is not None and dense.scheme == "ibug68":
        points, target = dense.points[list(_IBUG_FIVE), :2], _MEAN_FIVE
    elif dense is not None and dense.scheme == "dlib5":
        points, target = dense.points[:, :2], _MEAN_FIVE
    else:
        points, target = face.landmarks, _MEAN_LANDMARKS
    return align_points(image, points, _in_chip(target, side), side).pixels


class DlibDescriptor:
    """dlib's ResNet face descriptor, 128 numbers, as unit vectors.

    https://github.com/davisking/dlib-models; LFW 99.38 %. The author compares raw descriptors by Euclidean distance with
    0.6 as the limit. Raw descriptors are nearly of one length, so the unit vectors here keep the order; two
    pictures of one person have a cosine of about 0.92 and more.
    """

    def __init__(self, network: DlibDescriptorNet, model_id: str = "dlib_resnet") -> None:
        self._network, self._model_id = network, model_id

    @property
    def model_id(self) -> str:
        """The catalogue id: vectors of different models are never compared."""
        return self._model_id

    def embed(self, image: Image, faces: Sequence[Face]) -> NDArray[np.float32]:
        """Return N×128 float32 unit vectors, one for each face. Raises InferenceError when one has no length."""
        if not faces:
            return np.zeros((0, DESCRIPTOR_LENGTH), np.float32)
        raw = np.asarray(self._network.compute(np.stack([dlib_chip(image, face) for face in faces])), np.float32)
        lengths = np.linalg.norm(raw, axis=1, keepdims=True)
        if not np.all(lengths > 0):
            raise InferenceError("The descriptor network gave an empty vector.")
        unit: NDArray[np.float32] = (raw / lengths).astype(np.float32)
        return unit
