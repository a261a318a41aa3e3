"""dlib's shape predictors."""

from __future__ import annotations

import numpy as np

from facecraft.faces.face import DenseLandmarks, Face
from facecraft.faces.landmarks import dlib_landmarks
from facecraft.imaging.geometry import Box, Size, Transform
from facecraft.imaging.image import Image
from facecraft.imaging.resample import warp
from facecraft.inference.dlib import DlibShapePredictor


class DlibPredictor:
    """dlib's 68- or 5-point shape predictor.

    Kazemi, Sullivan, "One Millisecond Face Alignment with an Ensemble of Regression Trees", CVPR 2014. It was trained on
    the boxes of dlib's HOG detector and on nearly upright faces, so the face is first turned upright and scaled to
    ``side`` pixels, and the box is set from the five points the way the HOG detector sets it.
    It has no presence score: the score of the face is passed on.
    """

    def __init__(self, predictor: DlibShapePredictor, *, side: int = 256) -> None:
        self._predictor, self._side = predictor, side

    def locate(self, image: Image, face: Face) -> DenseLandmarks | None:
        """Return ``ibug68`` or ``dlib5`` landmarks of ``face``; depth is 0."""
        eyes, mouth = face.landmarks[:2].mean(axis=0), face.landmarks[3:].mean(axis=0)
        eye_distance = float(np.linalg.norm(face.landmarks[1] - face.landmarks[0]))
        extent = max(eye_distance, 0.9 * float(np.linalg.norm(mouth - eyes)))
        center = eyes + 0.45 * (mouth - eyes)
        upright = Transform.similarity(
            scale=self._side / max(4.0 * extent, 1.0),
            degrees=-face.roll,
            source=(float(center[0]), float(center[1])),
            target=(self._side / 2, self._side / 2),
        )
        crop = warp(image.rgb, upright, Size(self._side, self._side)).pixels
        half = 1.25 * extent * upright.scale
        middle = self._side / 2
        points = self._predictor.predict(crop, Box(middle - half, middle - half, middle + half, middle + half))
        return dlib_landmarks(upright.inverse()(points), face.score)
