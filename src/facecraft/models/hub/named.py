"""Adapters with the catalogue id they stand for, so that a report can name what did the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.face import DenseLandmarks, Face
from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Image, Mask, Pixels
from facecraft.models.protocols import FaceDetector, FaceEmbedder, FaceLandmarker, FaceRestorer, SubjectSegmenter


@dataclass(frozen=True, slots=True)
class NamedDetector:
    """A :class:`FaceDetector` and its catalogue id."""

    model_id: str
    adapter: FaceDetector

    def detect(self, image: Image) -> tuple[Face, ...]:
        """Return the faces that stand about upright, best score first."""
        return self.adapter.detect(image)


@dataclass(frozen=True, slots=True)
class NamedLandmarker:
    """A :class:`FaceLandmarker` and its catalogue id."""

    model_id: str
    adapter: FaceLandmarker

    def locate(self, image: Image, face: Face) -> DenseLandmarks | None:
        """Return the dense landmarks of ``face``, or None when there is no face."""
        return self.adapter.locate(image, face)


@dataclass(frozen=True, slots=True)
class NamedSegmenter:
    """A :class:`SubjectSegmenter` and its catalogue id."""

    model_id: str
    adapter: SubjectSegmenter

    def segment(self, image: Image, subject: Box | None = None) -> Mask:
        """Return a soft mask of the size of ``image``."""
        return self.adapter.segment(image, subject)


@dataclass(frozen=True, slots=True)
class NamedEmbedder:
    """A :class:`FaceEmbedder` and its catalogue id."""

    model_id: str
    adapter: FaceEmbedder

    def embed(self, image: Image, faces: Sequence[Face]) -> NDArray[np.float32]:
        """Return N×D float32 unit vectors."""
        return self.adapter.embed(image, faces)


@dataclass(frozen=True, slots=True)
class NamedRestorer:
    """A :class:`FaceRestorer` and its catalogue id."""

    model_id: str
    adapter: FaceRestorer

    def restore(self, crop: Pixels, fidelity: float) -> Pixels:
        """Return the restored crop."""
        return self.adapter.restore(crop, fidelity)
