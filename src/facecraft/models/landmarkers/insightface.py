"""InsightFace's landmarkers: 106 points in the plane, and 68 points with depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecraft.faces.face import DenseLandmarks, Face
from facecraft.imaging.image import Image
from facecraft.inference.session import Session
from facecraft.models.tensors import box_crop, is_shape, planar, require, shaped, takes_crops

_SIDE = 192
_ROOM = 1.5


@dataclass(frozen=True, slots=True)
class PointsVariant:
    """What tells one of InsightFace's landmarkers from the other."""

    scheme: str
    rows: int
    """Points that the network gives."""
    points: int
    """How many of them count: the last ones."""
    dimensions: int


POINTS_106 = PointsVariant("insight106", 106, 106, 2)
"""``2d106det``: contour, left eye and brow, mouth, nose, right eye and brow."""
POINTS_68 = PointsVariant("ibug68", 1103, 68, 3)
"""``1k3d68``: 1103 points of a face model, of which the last 68 are those of 300-W."""


class InsightLandmarker:
    """``2d106det`` and ``1k3d68``: RGB, NCHW, 192×192, 0..255; the graph normalizes itself.

    https://github.com/deepinsight/insightface (alignment/coordinate_reg; model_zoo/landmark.py). The crop has the box
    in its middle with 1.5 times its longer side, and is turned upright. Points come as -1..1 of the crop. The networks
    have no presence score: the score of the face is passed on. Raises ModelLoadError when the graph is another one.
    """

    def __init__(self, session: Session, variant: PointsVariant) -> None:
        require(
            session,
            f"a landmarker of {variant.points} points",
            fits=takes_crops(session, _SIDE)
            and len(session.outputs) == 1
            and is_shape(session.outputs[0], None, variant.rows * variant.dimensions),
        )
        self._session, self._variant = session, variant
        self._input, self._output = session.inputs[0].name, session.outputs[0].name

    def locate(self, image: Image, face: Face) -> DenseLandmarks | None:
        """Return the points of ``face`` in picture pixels; their depth (0 without one) has the scale of x."""
        crop, there = box_crop(image, face, _SIDE, _SIDE / _ROOM)
        raw = self._session.run({self._input: planar(crop[None])})[self._output]
        points = shaped(raw, self._variant.rows, self._variant.dimensions)[-self._variant.points :].astype(np.float64)
        flat = there.inverse()((points[:, :2] + 1) * (_SIDE / 2))
        depth = points[:, 2] * (_SIDE / 2) / there.scale if self._variant.dimensions == 3 else np.zeros(len(points))
        return DenseLandmarks(self._variant.scheme, np.column_stack([flat, depth]), face.score)
