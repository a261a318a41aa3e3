"""Face detectors: BlazeFace (short and full range), YuNet and dlib's HOG detector.

Each makes one pass over the picture at its own input size; scales, tiles and turns are the work of
:func:`facecraft.faces.search.find_faces`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.face import Face
from facecraft.faces.landmarks import dlib_landmarks, five_points, mouth_from_eyes
from facecraft.faces.suppression import blend, suppress
from facecraft.imaging.geometry import Box, Points, Size, Transform
from facecraft.imaging.image import Image, Pixels
from facecraft.imaging.resample import fit, letterbox, resize_transform
from facecraft.inference.dlib import DlibDetector, DlibShapePredictor
from facecraft.inference.session import Session, Tensor


def _in_corner(image: Image, canvas: Size) -> tuple[Pixels, Transform]:
    """Put the picture, reduced when it must be, into the top left corner of a black canvas."""
    small = fit(image.rgb, canvas)
    height, width = small.shape[:2]
    pixels = np.zeros((canvas.height, canvas.width, 3), np.uint8)
    pixels[:height, :width] = small
    return pixels, resize_transform(Size(image.width, image.height), Size(width, height))


def _mapped(transform: Transform, points: NDArray[np.float64]) -> NDArray[np.float64]:
    return transform(points.reshape(-1, 2)).reshape(points.shape)


def _face(corners: NDArray[np.float64], score: float, five: Points) -> Face:
    (x1, y1), (x2, y2) = corners
    return Face(Box(float(x1), float(y1), float(x2), float(y2)), score, five)


# --- BlazeFace ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BlazeFaceVariant:
    """What tells one BlazeFace network from the other."""

    side: int
    """Side of the square input in pixels."""
    layers: tuple[tuple[int, int], ...]
    """Stride in pixels and number of anchors in each cell, layer by layer."""
    regressors: str
    logits: str
    score: float
    """The least score that MediaPipe's own graph accepts."""


SHORT_RANGE = BlazeFaceVariant(128, ((8, 2), (16, 6)), "regressors", "classificators", 0.5)
"""Selfies and portraits, to about two metres."""
FULL_RANGE = BlazeFaceVariant(192, ((4, 1),), "Identity", "Identity_1", 0.6)
"""Smaller faces too, to about five metres (the sparse network)."""


def _anchors(variant: BlazeFaceVariant) -> NDArray[np.float64]:
    """Centres of the anchors (N×2, fractions of the side): layer, row, column, anchor."""
    parts = []
    for stride, count in variant.layers:
        cells = variant.side // stride
        rows, columns = np.mgrid[0:cells, 0:cells]
        centers = (np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5) / cells
        parts.append(np.repeat(centers, count, axis=0))
    return np.concatenate(parts)


class BlazeFace:
    """MediaPipe's BlazeFace: RGB, NHWC, -1..1 on a centred black letterbox.

    Bazarevsky et al., arXiv 1907.05047; anchors and decoding as in MediaPipe's face_detection graphs (Apache-2.0).
    The box reaches from the brows to the chin. The network gives both eyes, the nose tip, the middle of the mouth
    and both ears; the mouth corners are guessed from the mouth and the eye distance (``mouth_from_eyes``).

    ``min_score`` (0..1) is that of the variant unless given; ``iou`` is where boxes are one face (MediaPipe: 0.3).
    """

    def __init__(
        self, session: Session, variant: BlazeFaceVariant, *, min_score: float | None = None, iou: float = 0.3
    ) -> None:
        self._session = session
        self._variant = variant
        self._min_score = variant.score if min_score is None else min_score
        self._iou = iou
        self._anchors = _anchors(variant)
        self._input = session.inputs[0].name

    def detect(self, image: Image) -> tuple[Face, ...]:
        """Return the faces that stand about upright, best score first."""
        side = self._variant.side
        pixels, there = letterbox(image.rgb, Size(side, side))
        tensor = (pixels.astype(np.float32) / np.float32(127.5) - np.float32(1))[None]
        outputs = self._session.run({self._input: tensor})
        return self._decode(
            outputs[self._variant.regressors][0], outputs[self._variant.logits][0, :, 0], there.inverse()
        )

    def _decode(self, regressors: Tensor, logits: Tensor, back: Transform) -> tuple[Face, ...]:
        scores = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -100, 100)))
        strong = np.flatnonzero(scores >= self._min_score)
        if strong.size == 0:
            return ()
        side, anchors = self._variant.side, self._anchors[strong]
        raw = regressors[strong].astype(np.float64) / side
        centers, half = raw[:, :2] + anchors, raw[:, 2:4] / 2
        boxes = np.concatenate([centers - half, centers + half], axis=1)
        keypoints = raw[:, 4:16].reshape(-1, 6, 2) + anchors[:, None]
        values = np.concatenate([boxes, keypoints.reshape(-1, 12)], axis=1)
        merged, best = blend(boxes, scores[strong], values, self._iou)
        # Fractions of the side count from the edge of the first pixel, pictures from its centre.
        points = _mapped(back, merged.reshape(-1, 8, 2) * side - 0.5)
        return tuple(
            _face(p[:2], float(score), np.stack([p[2], p[3], p[4], *mouth_from_eyes(p[2], p[3], p[5])]))
            for p, score in zip(points, best, strict=True)
        )


# --- YuNet ----------------------------------------------------------------------------------------------------------

_STRIDES = (8, 16, 32)


class YuNet:
    """YuNet of OpenCV Zoo: BGR, NCHW, 0..255, the picture in the top left corner of a black canvas.

    Wu, Peng, Yu, Machine Intelligence Research 2023; https://github.com/ShiqiYu/libfacedetection.train. A network with
    an open input size gets a canvas of the picture's shape, a multiple of 32. Pictures are never enlarged, and
    reduced until the longer side is at most ``max_side``: the network was made for faces of 10 to 300 pixels.

    ``min_score`` (0..1) applies to the geometric mean of class and objectness, as in OpenCV (zoo: 0.6); ``iou`` is
    where boxes are one face (0.3).
    """

    def __init__(
        self, session: Session, *, min_score: float = 0.6, iou: float = 0.3, max_side: int = 640, keep: int = 5000
    ) -> None:
        self._session = session
        self._min_score, self._iou, self._max_side, self._keep = min_score, iou, max_side, keep
        self._input = session.inputs[0].name
        self._height, self._width = session.inputs[0].shape[2:4]

    def detect(self, image: Image) -> tuple[Face, ...]:
        """Return the faces that stand about upright, best score first."""
        pixels, there = _in_corner(image, self._canvas(image))
        tensor = np.ascontiguousarray(pixels[:, :, ::-1].transpose(2, 0, 1)[None], dtype=np.float32)
        return self._decode(self._session.run({self._input: tensor}), Size(*pixels.shape[1::-1]), there.inverse())

    def _canvas(self, image: Image) -> Size:
        if self._width is not None and self._height is not None:
            return Size(self._width, self._height)
        scale = min(1.0, self._max_side / max(image.width, image.height))

        def up(side: int) -> int:
            return max(32, -(-round(side * scale) // 32) * 32)

        return Size(self._width or up(image.width), self._height or up(image.height))

    def _decode(self, outputs: Mapping[str, Tensor], canvas: Size, back: Transform) -> tuple[Face, ...]:
        parts = [self._decode_stride(outputs, stride, canvas.width // stride) for stride in _STRIDES]
        values = np.concatenate([part[0] for part in parts])
        scores = np.concatenate([part[1] for part in parts])
        if scores.size > self._keep:
            best = np.argsort(-scores, kind="stable")[: self._keep]
            values, scores = values[best], scores[best]
        kept = suppress(values[:, :4], scores, self._iou)
        points = _mapped(back, values[kept].reshape(-1, 7, 2))
        return tuple(_face(p[:2], float(score), p[2:]) for p, score in zip(points, scores[kept], strict=True))

    def _decode_stride(
        self, outputs: Mapping[str, Tensor], stride: int, across: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return N×14 canvas pixels (box corners, five points) and N scores of the cells above the threshold."""
        likelihood = np.clip(outputs[f"cls_{stride}"], 0, 1) * np.clip(outputs[f"obj_{stride}"], 0, 1)
        scores = np.sqrt(likelihood.astype(np.float64).reshape(-1))
        strong = np.flatnonzero(scores >= self._min_score)
        corner = np.stack([strong % across, strong // across], axis=1).astype(np.float64)
        raw = outputs[f"bbox_{stride}"].reshape(-1, 4)[strong].astype(np.float64)
        five = outputs[f"kps_{stride}"].reshape(-1, 5, 2)[strong].astype(np.float64)
        center, half = (corner + raw[:, :2]) * stride, np.exp(raw[:, 2:]) * stride / 2
        five = ((corner[:, None] + five) * stride).reshape(-1, 10)
        return np.concatenate([center - half, center + half, five], axis=1), scores[strong]


# --- dlib -----------------------------------------------------------------------------------------------------------


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
        return _face(back(corners), score, back(five))
