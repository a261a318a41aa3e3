"""YuNet of OpenCV Zoo."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.face import Face
from facecraft.faces.suppression import suppress
from facecraft.imaging.geometry import Size, Transform
from facecraft.imaging.image import Image
from facecraft.inference.session import Session, Tensor
from facecraft.models.detectors.placing import canvas_for, face_at, in_corner, mapped

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
        self._sides = session.inputs[0].shape[2], session.inputs[0].shape[3]

    def detect(self, image: Image) -> tuple[Face, ...]:
        """Return the faces that stand about upright, best score first."""
        pixels, there = in_corner(image, canvas_for(image, self._sides, self._max_side))
        tensor = np.ascontiguousarray(pixels[:, :, ::-1].transpose(2, 0, 1)[None], dtype=np.float32)
        return self._decode(self._session.run({self._input: tensor}), Size(*pixels.shape[1::-1]), there.inverse())

    def _decode(self, outputs: Mapping[str, Tensor], canvas: Size, back: Transform) -> tuple[Face, ...]:
        parts = [self._decode_stride(outputs, stride, canvas.width // stride) for stride in _STRIDES]
        values = np.concatenate([part[0] for part in parts])
        scores = np.concatenate([part[1] for part in parts])
        if scores.size > self._keep:
            best = np.argsort(-scores, kind="stable")[: self._keep]
            values, scores = values[best], scores[best]
        kept = suppress(values[:, :4], scores, self._iou)
        points = mapped(back, values[kept].reshape(-1, 7, 2))
        return tuple(face_at(p[:2], float(score), p[2:]) for p, score in zip(points, scores[kept], strict=True))

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
