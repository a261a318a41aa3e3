"""Embedders of 112-pixel crops aligned by five points: ArcFace and SFace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecraft.errors import InferenceError
from facecraft.faces.alignment import ARCFACE_112, fit_similarity
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Image, Pixels
from facecraft.imaging.resample import coverage, glance
from facecraft.inference.session import Session
from facecraft.models.tensors import planar, require, run_crops, takes_crops

_SIDE = 112


@dataclass(frozen=True, slots=True)
class EmbedderVariant:
    """What tells one family of aligned embedders from another."""

    title: str
    mean: float
    scale: float
    """The network sees ``(pixel - mean) * scale``, RGB."""


ARCFACE = EmbedderVariant("ArcFace", 127.5, 1 / 127.5)
"""Deng et al., arXiv 1801.07698; alignment and scaling as in https://github.com/deepinsight/insightface. uniface's
MobileFace networks (https://github.com/yakhyo/uniface) keep the same contract."""
SFACE = EmbedderVariant("SFace", 0.0, 1.0)
"""Zhong et al., arXiv 2205.12010; the graph normalizes 0..255 itself (opencv/modules/objdetect, face_recognize.cpp)."""


class AlignedEmbedder:
    """A recognizer of RGB N×3×112×112 float32 crops in the ArcFace position: one vector for each, made a unit vector.

    All faces of a picture go through the network in one run when its batch side is open, else one by one. What a crop
    shows beyond the picture is black, as in training. Raises ModelLoadError when the graph is another one.
    """

    def __init__(self, session: Session, variant: EmbedderVariant, model_id: str) -> None:
        require(
            session,
            f"{variant.title} for {_SIDE}-pixel crops",
            fits=takes_crops(session, _SIDE)
            and len(session.outputs) == 1
            and len(session.outputs[0].shape) == 2
            and session.outputs[0].dtype == np.float32,
        )
        self._session, self._variant, self._model_id = session, variant, model_id
        self._output = session.outputs[0]

    @property
    def model_id(self) -> str:
        """The catalogue id: vectors of different models are never compared."""
        return self._model_id

    def embed(self, image: Image, faces: Sequence[Face]) -> NDArray[np.float32]:
        """Return N×D float32 unit vectors, one for each face. Raises InferenceError when one has no length."""
        if not faces:
            return np.zeros((0, self._output.shape[1] or 0), np.float32)
        crops = np.stack([aligned_112(image, face) for face in faces])
        tensor = planar(crops, mean=self._variant.mean, scale=self._variant.scale)
        raw = run_crops(self._session, tensor)[self._output.name].astype(np.float64)
        lengths = np.linalg.norm(raw, axis=1, keepdims=True)
        if not np.all(np.isfinite(lengths) & (lengths > 0)):
            raise InferenceError(f"{self._model_id} gave an empty vector.")
        unit: NDArray[np.float32] = (raw / lengths).astype(np.float32)
        return unit


def aligned_112(image: Image, face: Face) -> Pixels:
    """Cut the 112×112×3 crop of the ArcFace template out of ``image``, black where the picture ends."""
    there = fit_similarity(face.landmarks, ARCFACE_112.scaled(_SIDE))
    size = Size(_SIDE, _SIDE)
    crop = glance(image.rgb, there, size)
    inside = coverage(Size(image.width, image.height), there, size)
    if float(inside.min()) >= 1:
        return crop
    black: Pixels = np.rint(crop * inside[:, :, None]).astype(np.uint8)
    return black
