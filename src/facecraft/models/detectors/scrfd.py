"""SCRFD of InsightFace."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.face import Face
from facecraft.faces.suppression import suppress
from facecraft.imaging.geometry import Transform
from facecraft.imaging.image import Image
from facecraft.inference.session import Session, Tensor
from facecraft.models.detectors.placing import canvas_for, face_at, in_corner, mapped
from facecraft.models.tensors import is_shape, planar, require

_STRIDES = (8, 16, 32)
_ANCHORS = 2
_CONTENT = (1, 4, 10)
"""Numbers per anchor in the three groups of outputs: score, box, landmarks."""


class Scrfd:
    """SCRFD with landmarks (det_10g, det_500m): RGB, NCHW, (x - 127.5) / 128, the picture in the top left corner.

    Guo et al., arXiv 2105.04714; decoding as in https://github.com/deepinsight/insightface (python-package, MIT code).
    Nine outputs, told apart by their position, for their names differ between exports: scores, boxes and landmarks,
    each for the strides 8, 16 and 32, with two anchors in every cell. The border is black before it is normalized.

    A network with an open input size gets a canvas of the picture's shape, a multiple of 32. Pictures are never
    enlarged, and reduced until the longer side is at most ``max_side``. ``min_score`` is 0..1; ``iou`` is where boxes
    are one face. Raises ModelLoadError when the graph is another one, for instance SCRFD without landmarks.
    """

    def __init__(self, session: Session, *, min_score: float = 0.5, iou: float = 0.4, max_side: int = 640) -> None:
        groups = list(enumerate(session.outputs))
        require(
            session,
            "SCRFD with landmarks",
            fits=len(session.inputs) == 1
            and session.inputs[0].dtype == np.float32
            and len(session.inputs[0].shape) == 4
            and is_shape(session.inputs[0], 1, 3, None, None)
            and len(groups) == len(_STRIDES) * len(_CONTENT)
            and all(spec.shape[-1:] in ((None,), (_CONTENT[at // 3],)) for at, spec in groups),
        )
        self._session = session
        self._min_score, self._iou, self._max_side = min_score, iou, max_side
        self._input = session.inputs[0].name
        self._sides = session.inputs[0].shape[2], session.inputs[0].shape[3]
        self._names = [spec.name for spec in session.outputs]

    def detect(self, image: Image) -> tuple[Face, ...]:
        """Return the faces that stand about upright, best score first."""
        canvas = canvas_for(image, self._sides, self._max_side)
        pixels, there = in_corner(image, canvas)
        outputs = self._session.run({self._input: planar(pixels[None], mean=127.5, scale=1 / 128)})
        ordered = [outputs[name] for name in self._names]
        return self._decode(ordered, canvas.width, there.inverse())

    def _decode(self, outputs: list[Tensor], width: int, back: Transform) -> tuple[Face, ...]:
        parts = [
            self._decode_stride(outputs[level], outputs[level + 3], outputs[level + 6], stride, width // stride)
            for level, stride in enumerate(_STRIDES)
        ]
        values = np.concatenate([part[0] for part in parts])
        scores = np.concatenate([part[1] for part in parts])
        # Whole pixels belong to a box there: its sides count one more.
        kept = suppress(values[:, :4] + (0, 0, 1, 1), scores, self._iou)
        points = mapped(back, values[kept].reshape(-1, 7, 2))
        return tuple(face_at(p[:2], float(score), p[2:]) for p, score in zip(points, scores[kept], strict=True))

    def _decode_stride(
        self, scores: Tensor, boxes: Tensor, points: Tensor, stride: int, across: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return N×14 canvas pixels (box corners, five points) and N scores of the anchors above the threshold."""
        flat = scores.reshape(-1).astype(np.float64)
        strong = np.flatnonzero(flat >= self._min_score)
        cell = strong // _ANCHORS
        center = np.stack([cell % across, cell // across], axis=1).astype(np.float64) * stride
        sides = boxes.reshape(-1, 4)[strong].astype(np.float64) * stride
        five = points.reshape(-1, 5, 2)[strong].astype(np.float64) * stride + center[:, None]
        return np.concatenate([center - sides[:, :2], center + sides[:, 2:], five.reshape(-1, 10)], axis=1), flat[
            strong
        ]
