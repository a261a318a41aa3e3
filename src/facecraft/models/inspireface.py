"""A detector and an embedder over InspireFace's packs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facecraft.errors import InferenceError, NoFaceFoundError
from facecraft.faces.face import Face
from facecraft.imaging.image import Image
from facecraft.inference.inspireface import InspireSource
from facecraft.models.tensors import box_crop

_CLOSE_UP = 320
_FACE = 160.0


class InspireDetector:
    """The detector of an InspireFace pack."""

    def __init__(self, source: InspireSource) -> None:
        self._source = source

    def detect(self, image: Image) -> tuple[Face, ...]:
        """Return the faces that stand about upright, best score first."""
        with self._source.lease() as pack:
            return tuple(Face(found.box, found.score, found.landmarks) for found in pack.detect(image.rgb))


class InspireEmbedder:
    """The recognizer of an InspireFace pack.

    It describes only faces that its own detector sees, so each face is shown to it upright and alone, 160 of 320 pixels.
    """

    def __init__(self, source: InspireSource, model_id: str) -> None:
        self._source, self._model_id = source, model_id

    @property
    def model_id(self) -> str:
        """The catalogue id: vectors of different models are never compared."""
        return self._model_id

    def embed(self, image: Image, faces: Sequence[Face]) -> NDArray[np.float32]:
        """Return N×D float32 unit vectors, one for each face. Raises NoFaceFoundError when the pack sees none there."""
        if not faces:
            return np.zeros((0, 0), np.float32)
        with self._source.lease() as pack:
            vectors = [pack.embed(box_crop(image, face, _CLOSE_UP, _FACE)[0]) for face in faces]
        seen = [vector for vector in vectors if vector is not None]
        if len(seen) < len(faces):
            raise NoFaceFoundError(f"{self._model_id} sees no face where one was found.")
        raw = np.stack(seen).astype(np.float64)
        lengths = np.linalg.norm(raw, axis=1, keepdims=True)
        if not np.all(lengths > 0):
            raise InferenceError(f"{self._model_id} gave an empty vector.")
        unit: NDArray[np.float32] = (raw / lengths).astype(np.float32)
        return unit
