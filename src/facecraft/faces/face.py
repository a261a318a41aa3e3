"""What a face is, whichever network found it.

The five landmarks stand in this order everywhere, as seen in the picture: image-left eye, image-right eye, nose
tip, image-left mouth corner, image-right mouth corner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facecraft.imaging.geometry import Box, Points

FIVE_POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
"""Names of the five landmarks in their order; left and right are those of the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class DenseLandmarks:
    """Many landmarks of one face: ``points`` N×3 float64 in picture pixels (z has the scale of x), by ``scheme``."""

    scheme: str
    """``mesh468`` (MediaPipe canonical mesh), ``ibug68`` (300-W), ``insight106`` (InsightFace) or ``dlib5``."""
    points: NDArray[np.float64]
    score: float
    """How sure the network is that this is a face, 0..1."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face in a picture; pixels of that picture."""

    box: Box
    score: float
    """Detector confidence, 0..1. Scores of different detectors are not comparable."""
    landmarks: Points
    """5×2 float64 in the order of :data:`FIVE_POINTS`."""
    dense: DenseLandmarks | None = None
    embedding: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.landmarks.shape != (5, 2):
            raise ValueError(f"a Face has 5x2 landmarks, not {self.landmarks.shape}")

    @property
    def roll(self) -> float:
        """Degrees by which the eye line is turned, clockwise on screen, in -180..180; 0 when the eyes are level."""
        dx, dy = self.landmarks[1] - self.landmarks[0]
        return math.degrees(math.atan2(float(dy), float(dx)))

    def with_dense(self, dense: DenseLandmarks, landmarks: Points) -> Face:
        """The same face with dense landmarks and the five points taken from them."""
        return replace(self, dense=dense, landmarks=landmarks)
