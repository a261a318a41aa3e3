"""BlazeFace of MediaPipe: short and full range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.face import Face
from facecraft.faces.landmarks import mouth_from_eyes
from facecraft.faces.suppression import blend
from facecraft.imaging.geometry import Size, Transform
from facecraft.imaging.image import Image
from facecraft.imaging.resample import letterbox
from facecraft.inference.session import Session, Tensor
from facecraft.models.detectors.placing import face_at, mapped


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
        points = mapped(back, merged.reshape(-1, 8, 2) * side - 0.5)
        return tuple(
            face_at(p[:2], float(score), np.stack([p[2], p[3], p[4], *mouth_from_eyes(p[2], p[3], p[5])]))
            for p, score in zip(points, best, strict=True)
        )
