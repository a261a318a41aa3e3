"""Which points of a dense landmark scheme are the eyes, the nose and the mouth.

Indexes of ``mesh468`` are those of the canonical face mesh of MediaPipe (Kartynnik et al., arXiv 1907.06724; Apache-2.0),
those of ``ibug68`` of the 300-W annotation (Sagonas et al., ICCV-W 2013), those of ``insight106`` of InsightFace's 2d106
markup (https://github.com/deepinsight/insightface, alignment/coordinate_reg), those of ``dlib5`` of dlib's five-point
predictor (https://github.com/davisking/dlib-models). "Left" and "right" are those of an upright picture.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.face import DenseLandmarks
from facecraft.imaging.geometry import Points

Indexes: TypeAlias = tuple[int, ...]

MESH_LEFT_EYE: Indexes = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
"""The lids of the image-left eye; 33 is the outer and 133 the inner corner."""
MESH_RIGHT_EYE: Indexes = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
"""The lids of the image-right eye; 263 is the outer and 362 the inner corner."""
MESH_NOSE_TIP = 4
MESH_NOSE_BASE = 2
MESH_MOUTH_CORNERS: Indexes = (61, 291)
MESH_FOREHEAD = 10
MESH_CHIN = 152
MESH_CHEEKS: Indexes = (234, 454)
MESH_OVAL: Indexes = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""The outline of the face from the middle of the forehead, clockwise on screen."""

IBUG_CHIN = 8
IBUG_LEFT_EYE: Indexes = (36, 37, 38, 39, 40, 41)
IBUG_RIGHT_EYE: Indexes = (42, 43, 44, 45, 46, 47)

INSIGHT_FIVE: Indexes = (38, 88, 86, 52, 61)
"""Both pupils, the nose tip and the mouth corners."""


def _mean(points: NDArray[np.float64], indexes: Indexes) -> NDArray[np.float64]:
    picked: NDArray[np.float64] = points[list(indexes), :2].mean(axis=0)
    return picked


def mouth_from_eyes(left_eye: Points, right_eye: Points, mouth: Points) -> Points:
    """Guess both mouth corners (2×2, pixels) from the mouth centre: 0.83 eye distances apart, parallel to the eyes.

    0.83 is the ratio in the ArcFace template (29.2 to 35.2 of 112 pixels); both shrink alike when a face turns.
    """
    half = (right_eye - left_eye) * 0.414
    return np.stack([mouth - half, mouth + half])


def five_points(dense: DenseLandmarks) -> Points:
    """Take the five landmarks (5×2, pixels, the order of FIVE_POINTS) out of dense ones.

    ``dlib5`` has no nose tip and no mouth: measured on portraits, they lie 0.72 and 1.31 times as far below the eyes
    as the base of the nose. Good enough to align and to look at, not to measure a mouth. Raises ValueError for a scheme nobody declared.
    """
    p = dense.points
    if dense.scheme == "mesh468":
        return np.stack(
            [
                _mean(p, MESH_LEFT_EYE),
                _mean(p, MESH_RIGHT_EYE),
                p[MESH_NOSE_TIP, :2],
                p[MESH_MOUTH_CORNERS[0], :2],
                p[MESH_MOUTH_CORNERS[1], :2],
            ]
        )
    if dense.scheme == "ibug68":
        return np.stack([_mean(p, IBUG_LEFT_EYE), _mean(p, IBUG_RIGHT_EYE), p[30, :2], p[48, :2], p[54, :2]])
    if dense.scheme == "insight106":
        return np.ascontiguousarray(p[list(INSIGHT_FIVE), :2])
    if dense.scheme == "dlib5":
        # 0 and 1 are the outer and inner corner of the image-right eye, 2 and 3 those of the image-left one.
        left, right = _mean(p, (2, 3)), _mean(p, (0, 1))
        between = (left + right) / 2
        drop = p[4, :2] - between
        return np.stack([left, right, between + 0.72 * drop, *mouth_from_eyes(left, right, between + 1.31 * drop)])
    raise ValueError(f"no such landmark scheme: {dense.scheme}")


def dlib_landmarks(points: Points, score: float) -> DenseLandmarks:
    """Wrap the points (5×2 or 68×2, pixels) of a dlib shape predictor; their depth is 0, for dlib has none.

    Raises ValueError for another number of points.
    """
    schemes = {5: "dlib5", 68: "ibug68"}
    if len(points) not in schemes:
        raise ValueError(f"dlib predicts 5 or 68 points, not {len(points)}")
    flat = np.column_stack([np.asarray(points, np.float64), np.zeros(len(points))])
    return DenseLandmarks(schemes[len(points)], flat, score)
