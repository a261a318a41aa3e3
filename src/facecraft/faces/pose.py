"""Which way a head is turned, from its landmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.face import Face
from facecraft.faces.landmarks import MESH_LEFT_EYE, MESH_MOUTH_CORNERS, MESH_NOSE_TIP, MESH_RIGHT_EYE

_HEAD = np.array(
    [[-3.15, -2.65, -3.6], [3.15, -2.65, -3.6], [0.0, 0.46, -7.59], [-2.46, 4.34, -4.28], [2.46, 4.34, -4.28]]
)
"""Both eyes, the nose tip and the mouth corners of an average head in centimetres, x right, y down, z away: taken from
the canonical face of MediaPipe (Kartynnik et al., arXiv 1907.06724; Apache-2.0)."""


@dataclass(frozen=True, slots=True)
class Pose:
    """How a head is turned, in degrees; 0, 0, 0 looks into the camera."""

    yaw: float
    """Positive when the face looks to the right of the picture; 90 is a profile."""
    pitch: float
    """Positive when the face looks up, -90..90."""
    roll: float
    """Positive when the head is tilted clockwise on screen, -180..180."""


def pose(face: Face) -> Pose:
    """Estimate the pose of ``face`` from its landmarks; a few degrees exact, less for a turn beyond 50.

    With a mesh its depths are used; five points alone are fitted under scaled orthographic projection (DeMenthon,
    Davis, "Model-based object pose in 25 lines of code", IJCV 1995, first step).
    """
    head = _HEAD - _HEAD.mean(axis=0)
    dense = face.dense
    if dense is not None and dense.scheme == "mesh468":
        seen = np.stack(
            [
                dense.points[list(MESH_LEFT_EYE)].mean(axis=0),
                dense.points[list(MESH_RIGHT_EYE)].mean(axis=0),
                dense.points[MESH_NOSE_TIP],
                *dense.points[list(MESH_MOUTH_CORNERS)],
            ]
        )
        return _angles(_turn_in_space(head, seen - seen.mean(axis=0)))
    return _angles(_turn_in_plane(head, face.landmarks - face.landmarks.mean(axis=0)))


def _turn_in_space(head: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation that best takes N×3 ``head`` to ``seen`` (Kabsch, Acta Cryst. A32, 1976)."""
    left, _, right = np.linalg.svd(seen.T @ head)
    flip = np.diag([1.0, 1.0, float(np.sign(np.linalg.det(left @ right)))])
    turn: NDArray[np.float64] = left @ flip @ right
    return turn


def _turn_in_plane(head: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation whose first two rows best take N×3 ``head`` to N×2 ``seen``, up to a scale."""
    left, _, right = np.linalg.svd((np.linalg.pinv(head) @ seen).T, full_matrices=False)
    rows = left @ right
    return np.stack([*rows, np.cross(rows[0], rows[1])])


def _angles(turn: NDArray[np.float64]) -> Pose:
    # Where the head looks (its -z), as longitude and latitude, and where its right side points in the picture.
    x, y, z = (-turn[:, 2]).tolist()
    yaw = math.degrees(math.atan2(x, -z))
    pitch = math.degrees(math.asin(min(1.0, max(-1.0, -y))))
    roll = math.degrees(math.atan2(float(turn[1, 0]), float(turn[0, 0])))
    return Pose(yaw, pitch, roll)
