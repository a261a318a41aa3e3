"""RetinaFace in the permissively licensed PyTorch lineage."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.face import Face
from facecraft.faces.suppression import suppress
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Image
from facecraft.inference.session import Session, Tensor
from facecraft.models.detectors.placing import canvas_for, face_at, in_corner, mapped
from facecraft.models.tensors import is_shape, planar, require

_STEPS = (8, 16, 32)
_SIZES = ((16, 32), (64, 128), (256, 512))
"""Sides of the two square priors in every cell, in pixels, for each step."""
_CENTER_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2
_MEAN = (104.0, 117.0, 123.0)
_WIDTHS = (4, 2, 10)
"""Numbers per prior of boxes, scores and landmarks, in the order in which the graphs give them."""
_MOST_BEFORE, _MOST_AFTER = 5000, 750


class RetinaFace:
    """RetinaFace: BGR, NCHW, minus (104, 117, 123), the picture in the top left corner of a black canvas.

    Deng et al., arXiv 1905.00641; priors and decoding as in https://github.com/biubug6/Pytorch_Retinaface (MIT).
    Outputs, told apart by their last side, or by their order where the graph leaves it open: boxes 4, background and
    face 2 (softmaxed), landmarks 10. ``bgr`` off feeds RGB with the same means, which one redistributed copy was run with.

    A network with an open input size gets a canvas of the picture's shape, a multiple of 32. Pictures are never
    enlarged, and reduced until the longer side is at most ``max_side``. ``min_score`` is 0..1; ``iou`` is where boxes
    are one face. Raises ModelLoadError when the graph is another one.
    """

    def __init__(
        self,
        session: Session,
        *,
        min_score: float = 0.5,
        iou: float = 0.4,
        max_side: int = 640,
        bgr: bool = True,
    ) -> None:
        names = _outputs(session)
        require(
            session,
            "RetinaFace",
            fits=len(session.inputs) == 1
            and session.inputs[0].dtype == np.float32
            and len(session.inputs[0].shape) == 4
            and is_shape(session.inputs[0], 1, 3, None, None)
            and names.keys() == set(_WIDTHS),
        )
        self._session = session
        self._min_score, self._iou, self._max_side, self._bgr = min_score, iou, max_side, bgr
        self._input = session.inputs[0].name
        self._sides = session.inputs[0].shape[2], session.inputs[0].shape[3]
        self._boxes, self._scores, self._points = (names[width] for width in _WIDTHS)

    def detect(self, image: Image) -> tuple[Face, ...]:
        """Return the faces that stand about upright, best score first."""
        canvas = canvas_for(image, self._sides, self._max_side)
        pixels, there = in_corner(image, canvas)
        outputs = self._session.run({self._input: planar(pixels[None], mean=_MEAN, bgr=self._bgr)})
        values, scores = self._decode(
            outputs[self._boxes].reshape(-1, 4),
            outputs[self._scores].reshape(-1, 2)[:, 1],
            outputs[self._points].reshape(-1, 5, 2),
            canvas,
        )
        kept = suppress(values[:, :4], scores, self._iou)[:_MOST_AFTER]
        points = mapped(there.inverse(), values[kept].reshape(-1, 7, 2))
        return tuple(face_at(p[:2], float(score), p[2:]) for p, score in zip(points, scores[kept], strict=True))

    def _decode(
        self, boxes: Tensor, scores: Tensor, points: Tensor, canvas: Size
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return N×14 canvas pixels (box corners, five points) and N scores of the priors above the threshold."""
        strong = np.flatnonzero(scores >= self._min_score)
        if strong.size > _MOST_BEFORE:
            strong = strong[np.argsort(-scores[strong], kind="stable")[:_MOST_BEFORE]]
        centers, sizes = _priors(strong, canvas)
        raw = boxes[strong].astype(np.float64)
        middle = centers + raw[:, :2] * _CENTER_VARIANCE * sizes[:, None]
        half = sizes[:, None] * np.exp(raw[:, 2:] * _SIZE_VARIANCE) / 2
        five = centers[:, None] + points[strong].astype(np.float64) * _CENTER_VARIANCE * sizes[:, None, None]
        values = np.concatenate([middle - half, middle + half, five.reshape(-1, 10)], axis=1)
        return values, scores[strong].astype(np.float64)


def _outputs(session: Session) -> dict[int, str]:
    """The names of the three outputs by their last side; empty when there are other ones."""
    last = [spec.shape[-1] if spec.shape else None for spec in session.outputs]
    widths = _WIDTHS if last == [None, None, None] else last
    return {width or 0: spec.name for width, spec in zip(widths, session.outputs, strict=True)}


def _priors(indexes: NDArray[np.intp], canvas: Size) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return centres (N×2) and sides (N) in canvas pixels of the priors with these ``indexes``."""
    centers, sizes = np.zeros((len(indexes), 2)), np.zeros(len(indexes))
    first = 0
    for step, pair in zip(_STEPS, _SIZES, strict=True):
        across, down = math.ceil(canvas.width / step), math.ceil(canvas.height / step)
        here = (indexes >= first) & (indexes < first + across * down * len(pair))
        cell, which = np.divmod(indexes[here] - first, len(pair))
        centers[here] = (np.stack([cell % across, cell // across], axis=1) + 0.5) * step
        sizes[here] = np.array(pair)[which]
        first += across * down * len(pair)
    return centers, sizes
