"""dlib's detector of upright frontal faces."""

from __future__ import annotations

import math

import numpy as np

from facecraft.faces.face import Face
from facecraft.faces.landmarks import dlib_landmarks, five_points
from facecraft.imaging.geometry import Box, Size, Transform
from facecraft.imaging.image import Image, Pixels
from facecraft.imaging.resample import fit, resize_transform
from facecraft.inference.dlib import DlibDetector, DlibShapePredictor
from facecraft.models.detectors.placing import face_at

# The five landmarks in dlib's HOG box, as fractions of its side: the mean over upright frontal faces.
_HOG_FIVE = ((0.30, 0.30), (0.70, 0.30), (0.50, 0.54), (0.34, 0.74), (0.66, 0.74))


class DlibHog:
    """dlib's frontal face detector (histogram of oriented gradients, no file): nearly upright frontal faces only.

    King, "Max-Margin Object Detection", arXiv 1502.00046. With a shape predictor the five landmarks are measured;
    without one they stand where they stand in an average face. Its score, a distance to a hyperplane, is squeezed
    into 0..1 as ``1 - exp(-distance)``; faces under 80 pixels of the scaled picture are missed unless
    ``upsample`` (times 2) is raised. The picture is reduced until its longer side is at most ``max_side``.
    """

    def __init__(
        self,
        finder: DlibDetector,
        points: DlibShapePredictor | None = None,
        *,
        min_score: float = 0.0,
        upsample: int = 0,
        max_side: int = 800,
    ) -> None:
        self._finder, self._points = finder, points
        self._min_score, self._upsample, self._max_side = min_score, upsample, max_side

    def detect(self, image: Image) -> tuple[Face, ...]:
        """Return the upright frontal faces, best score first."""
        rgb = np.ascontiguousarray(fit(image.rgb, Size(self._max_side, self._max_side)))
        there = resize_transform(Size(image.width, image.height), Size(*rgb.shape[1::-1]))
        found = [(box, 1 - math.exp(-max(0.0, score))) for box, score in self._finder.detect(rgb, self._upsample)]
        strong = sorted((pair for pair in found if pair[1] >= self._min_score), key=lambda pair: -pair[1])
        return tuple(self._face(rgb, box, score, there.inverse()) for box, score in strong)

    def _face(self, rgb: Pixels, box: Box, score: float, back: Transform) -> Face:
        if self._points is None:
            five = np.array(_HOG_FIVE) * [box.width, box.height] + [box.x1, box.y1]
        else:
            five = five_points(dlib_landmarks(self._points.predict(rgb, box), score))
        corners = np.array([[box.x1, box.y1], [box.x2, box.y2]])
        return face_at(back(corners), score, back(five))
