"""MediaPipe's face mesh."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.face import DenseLandmarks, Face
from facecraft.faces.landmarks import MESH_LEFT_EYE, MESH_RIGHT_EYE
from facecraft.faces.mesh_mirror import MESH_MIRROR
from facecraft.imaging.geometry import Points, Size, Transform
from facecraft.imaging.image import Image, Pixels
from facecraft.imaging.resample import glance
from facecraft.inference.session import Session

_SIDE = 192
_ROOM = 1.5
_EXTRA_PASSES = 3
_SETTLED_DEGREES = 5.0
_SETTLED_SCALE = 0.1
_MIRRORED = np.array(MESH_MIRROR)


def _turn(left_eye: Points, right_eye: Points) -> float:
    dx, dy = (right_eye - left_eye)[:2]
    return math.degrees(math.atan2(float(dy), float(dx)))


def _settled(before: Transform, after: Transform) -> bool:
    """Whether two regions of interest are nearly one: a mesh from the second would be the same."""
    turn = (after.degrees - before.degrees + 180.0) % 360.0 - 180.0
    return abs(turn) < _SETTLED_DEGREES and abs(math.log(after.scale / before.scale)) < _SETTLED_SCALE


class FaceMesh:
    """MediaPipe's face mesh: 468 points with depth; RGB, NHWC, 0..1, 192×192.

    Kartynnik et al., "Real-time Facial Surface Geometry", arXiv 1907.06724; region of interest as in MediaPipe's
    face_landmark graphs (Apache-2.0): turned until the eyes are level, square, 1.5 times the face. The first pass
    starts from the detector's box and five points, each further one (``passes``, and up to three more while the region
    still turns or grows) from the mesh before, so that the result hardly depends on the detector. ``min_presence`` (0..1): below it there is no face.
    """

    def __init__(self, session: Session, *, min_presence: float = 0.5, passes: int = 2, mirror: bool = True) -> None:
        if passes < 1:
            raise ValueError("the mesh needs at least one pass")
        self._session = session
        self._min_presence, self._passes, self._mirror = min_presence, passes, mirror
        self._input = session.inputs[0].name
        # The mesh is the long output, the presence the single number; names differ between exports.
        by_length = sorted(session.outputs, key=lambda spec: math.prod(d or 1 for d in spec.shape))
        self._presence, self._mesh = by_length[0].name, by_length[-1].name

    def locate(self, image: Image, face: Face) -> DenseLandmarks | None:
        """Return the 468 points of ``face`` (z grows away from the camera, in the scale of x), or None."""
        region = self._first_region(face)
        for done in range(1, self._passes + _EXTRA_PASSES + 1):
            points, presence = self._run(image, region, mirror=self._mirror and done >= self._passes)
            if presence < self._min_presence:
                return None
            before, region = region, self._next_region(points)
            if done >= self._passes and _settled(before, region):
                break
        return DenseLandmarks("mesh468", points, presence)

    def _run(self, image: Image, region: Transform, *, mirror: bool) -> tuple[NDArray[np.float64], float]:
        crop = glance(image.rgb, region, Size(_SIDE, _SIDE))
        mesh, presence = self._infer(crop)
        if mirror:
            other, _ = self._infer(crop[:, ::-1])
            other[:, 0] = _SIDE - other[:, 0]
            mesh = (mesh + other[_MIRRORED]) / 2
        # The network counts from the edge of the first pixel, pictures from its centre.
        return np.column_stack([region.inverse()(mesh[:, :2] - 0.5), mesh[:, 2] / region.scale]), presence

    def _infer(self, crop: Pixels) -> tuple[NDArray[np.float64], float]:
        """Return the mesh (468×3, crop pixels) and the presence (0..1) in a 192×192×3 crop."""
        outputs = self._session.run({self._input: (crop.astype(np.float32) / np.float32(255))[None]})
        logit = float(outputs[self._presence].reshape(-1)[0])
        presence = 1 / (1 + math.exp(-max(-100.0, min(100.0, logit))))
        return outputs[self._mesh].reshape(-1, 3).astype(np.float64), presence

    def _first_region(self, face: Face) -> Transform:
        side = max(face.box.width, face.box.height) * _ROOM
        return self._region(face.box.center, side, face.roll)

    def _next_region(self, points: NDArray[np.float64]) -> Transform:
        flat = points[:, :2]
        degrees = _turn(flat[list(MESH_LEFT_EYE)].mean(axis=0), flat[list(MESH_RIGHT_EYE)].mean(axis=0))
        level = Transform.similarity(scale=1.0, degrees=-degrees, source=(0.0, 0.0), target=(0.0, 0.0))
        turned = level(flat)
        low, high = turned.min(axis=0), turned.max(axis=0)
        center = level.inverse()(((low + high) / 2)[None])[0]
        return self._region((float(center[0]), float(center[1])), float((high - low).max()) * _ROOM, degrees)

    def _region(self, center: tuple[float, float], side: float, degrees: float) -> Transform:
        middle = ((_SIDE - 1) / 2, (_SIDE - 1) / 2)
        return Transform.similarity(scale=_SIDE / max(side, 1.0), degrees=-degrees, source=center, target=middle)
