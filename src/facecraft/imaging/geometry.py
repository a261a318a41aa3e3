"""Boxes, sizes and similarity transforms.

Coordinates are pixels with the origin at the top left. Continuous coordinates follow OpenCV: the centre of the
first pixel is (0, 0), so a box that covers a W×H picture is (0, 0, W, H) and its last pixel centre is (W-1, H-1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Points: TypeAlias = NDArray[np.float64]
"""N×2 float64 pixel coordinates, (x, y)."""


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-parallel box, ``x1, y1, x2, y2`` in pixels; ``x2`` and ``y2`` are exclusive."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        return max(0.0, self.width) * max(0.0, self.height)

    @property
    def center(self) -> tuple[float, float]:
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    def iou(self, other: Box) -> float:
        """Intersection over union with ``other`` (0..1)."""
        shared = self.intersection(other).area
        union = self.area + other.area - shared
        return shared / union if union > 0 else 0.0

    def intersection(self, other: Box) -> Box:
        """The shared part; its sides may be negative when there is none (its area is then 0)."""
        return Box(max(self.x1, other.x1), max(self.y1, other.y1), min(self.x2, other.x2), min(self.y2, other.y2))

    def scaled(self, factor: float) -> Box:
        """The box with both sides multiplied by ``factor`` about its centre."""
        cx, cy = self.center
        w, h = self.width * factor / 2, self.height * factor / 2
        return Box(cx - w, cy - h, cx + w, cy + h)

    def clipped(self, size: Size) -> Box:
        """The part inside a picture of ``size``."""
        return Box(
            min(max(self.x1, 0.0), size.width),
            min(max(self.y1, 0.0), size.height),
            min(max(self.x2, 0.0), size.width),
            min(max(self.y2, 0.0), size.height),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """A 2×3 affine map from source to output pixels: ``out = matrix[:, :2] @ (x, y) + matrix[:, 2]``."""

    matrix: NDArray[np.float64]

    @classmethod
    def identity(cls) -> Transform:
        return cls(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))

    @classmethod
    def similarity(
        cls, *, scale: float, degrees: float, source: tuple[float, float], target: tuple[float, float]
    ) -> Transform:
        """Scale and turn (clockwise on screen for positive ``degrees``) so that ``source`` lands on ``target``."""
        c, s = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
        tx = target[0] - (c * source[0] - s * source[1])
        ty = target[1] - (s * source[0] + c * source[1])
        return cls(np.array([[c, -s, tx], [s, c, ty]]))

    @property
    def scale(self) -> float:
        """Output pixels per source pixel (square root of the determinant)."""
        m = self.matrix
        return math.sqrt(abs(float(m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0])))

    @property
    def degrees(self) -> float:
        """The turn, clockwise on screen, in -180..180."""
        return math.degrees(math.atan2(float(self.matrix[1, 0]), float(self.matrix[0, 0])))

    def __call__(self, points: Points) -> Points:
        """Map N×2 points."""
        return np.asarray(points, np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def inverse(self) -> Transform:
        a = np.linalg.inv(self.matrix[:, :2])
        return Transform(np.column_stack([a, -a @ self.matrix[:, 2]]))

    def then(self, after: Transform) -> Transform:
        """The map that applies this one first and ``after`` next."""
        a = after.matrix[:, :2]
        return Transform(np.column_stack([a @ self.matrix[:, :2], a @ self.matrix[:, 2] + after.matrix[:, 2]]))

    def box(self, box: Box) -> Box:
        """The axis-parallel box around the mapped corners of ``box``."""
        corners = self(np.array([[box.x1, box.y1], [box.x2, box.y1], [box.x2, box.y2], [box.x1, box.y2]]))
        (x1, y1), (x2, y2) = corners.min(axis=0), corners.max(axis=0)
        return Box(float(x1), float(y1), float(x2), float(y2))
