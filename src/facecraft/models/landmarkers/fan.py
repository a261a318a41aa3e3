"""The 68 points of 300-W: measured by a heat-map network, or guessed from five points."""

from __future__ import annotations

import numpy as np

from facecraft.faces.alignment import FFHQ_512, fit_similarity
from facecraft.faces.face import DenseLandmarks, Face
from facecraft.imaging.image import Image
from facecraft.inference.session import Session
from facecraft.models.tensors import box_crop, is_shape, planar, require, shaped, takes_crops

_SIDE = 256
_FACE = 195.0
"""The longer side of the box in crop pixels (FaceFusion)."""
_GRID = 64
_SURE = 0.9
"""The mean of the heat-map maxima at which the network is as sure as it gets (FaceFusion)."""
_POINTS = 68


class FaceAlignmentNetwork:
    """2DFAN-4 in FaceFusion's export: BGR, NCHW, 0..1, 256×256.

    Bulat, Tzimiropoulos, "How far are we from solving the 2D & 3D Face Alignment problem?", ICCV 2017. The box lies in
    the middle of the crop, its longer side 195 pixels long, turned upright. Two outputs: 68×3 with x and y on a grid of
    64, and 68 heat maps whose maxima tell the score. ``min_score`` (0..1): below it there is no face. FaceFusion first
    brightens crops that are nearly black; here a dark picture is a matter of the picture, not of the network.
    Raises ModelLoadError when the graph is another one.
    """

    def __init__(self, session: Session, *, min_score: float = 0.5) -> None:
        require(
            session,
            "2DFAN with heat maps",
            fits=takes_crops(session, _SIDE)
            and len(session.outputs) == 2
            and is_shape(session.outputs[0], None, _POINTS, 3)
            and is_shape(session.outputs[1], None, _POINTS, _GRID, _GRID),
        )
        self._session, self._min_score = session, min_score
        self._input = session.inputs[0].name
        self._points, self._maps = (spec.name for spec in session.outputs)

    def locate(self, image: Image, face: Face) -> DenseLandmarks | None:
        """Return the 68 points of ``face`` in picture pixels, depth 0, or None when the network sees no face."""
        crop, there = box_crop(image, face, _SIDE, _FACE)
        outputs = self._session.run({self._input: planar(crop[None], scale=1 / 255, bgr=True)})
        peaks = shaped(outputs[self._maps], _POINTS, _GRID * _GRID).max(axis=1)
        score = min(1.0, max(0.0, float(peaks.mean()) / _SURE))
        if score < self._min_score:
            return None
        grid = shaped(outputs[self._points], _POINTS, 3)[:, :2].astype(np.float64)
        flat = there.inverse()(grid * (_SIDE / _GRID))
        return DenseLandmarks("ibug68", np.column_stack([flat, np.zeros(_POINTS)]), score)


class FivePointGuess:
    """FaceFusion's guess of 68 points from five (``fan_68_5``): it sees no pixels.

    Input 1×5×2 and output 1×68×2 are fractions of a crop in the FFHQ position. Good for a rough outline or the roll of
    a face, not for measuring. The score of the face is passed on. Raises ModelLoadError when the graph is another one.
    """

    def __init__(self, session: Session) -> None:
        require(
            session,
            "a guess of 68 points from five",
            fits=len(session.inputs) == 1
            and session.inputs[0].dtype == np.float32
            and len(session.inputs[0].shape) == 3
            and is_shape(session.inputs[0], 1, 5, 2)
            and len(session.outputs) == 1
            and is_shape(session.outputs[0], 1, _POINTS, 2),
        )
        self._session = session
        self._input, self._output = session.inputs[0].name, session.outputs[0].name

    def locate(self, image: Image, face: Face) -> DenseLandmarks | None:  # noqa: ARG002  the protocol has a picture
        """Return the 68 points of ``face`` in picture pixels; depth is 0."""
        there = fit_similarity(face.landmarks, FFHQ_512.scaled(1))
        five = there(face.landmarks).astype(np.float32)[None]
        raw = shaped(self._session.run({self._input: five})[self._output], _POINTS, 2)
        flat = there.inverse()(raw.astype(np.float64))
        return DenseLandmarks("ibug68", np.column_stack([flat, np.zeros(_POINTS)]), face.score)
