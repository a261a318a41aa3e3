"""Adapters with the catalogue id they stand for, so that a report can name what did the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.alignment import FaceTemplate
from facecraft.faces.attributes import Attributes
from facecraft.faces.face import DenseLandmarks, Face
from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Alpha, Image, Mask, Pixels
from facecraft.models.protocols import (
    FaceAttributes,
    FaceDetector,
    FaceEmbedder,
    FaceLandmarker,
    FaceParser,
    FaceQuality,
    FaceRestorer,
    FaceSwapper,
    OcclusionFinder,
    SubjectSegmenter,
    SwappedFace,
    Upscaler,
)
from facecraft.progress import CancelToken, Progress, silent


@dataclass(frozen=True, slots=True)
class NamedDetector:
    """A :class:`FaceDetector` and its catalogue id."""

    model_id: str
    adapter: FaceDetector
    reach: float = 0.1
    """The smallest face it sees, as a fraction of the longer side of what it is shown."""

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

    def segment(self, image: Image, subject: Box | None = None, *, quick: bool = False) -> Mask:
        """Return a soft mask of the size of ``image``."""
        return self.adapter.segment(image, subject, quick=quick)


@dataclass(frozen=True, slots=True)
class NamedEmbedder:
    """A :class:`FaceEmbedder` and its catalogue id."""

    model_id: str
    adapter: FaceEmbedder
    threshold: float | None = None
    """The cosine similarity from which its authors call two faces one person, where the catalogue knows it."""
    false_match_rate: float | None = None
    """The part of pairs of different people that reach the threshold, 0..1, where its authors state one."""

    def embed(self, image: Image, faces: Sequence[Face]) -> NDArray[np.float32]:
        """Return N×D float32 unit vectors."""
        return self.adapter.embed(image, faces)


@dataclass(frozen=True, slots=True)
class NamedAttributes:
    """A :class:`FaceAttributes` and its catalogue id."""

    model_id: str
    adapter: FaceAttributes

    def describe(self, image: Image, faces: Sequence[Face]) -> tuple[Attributes, ...]:
        """Return apparent age and sex of every face."""
        return self.adapter.describe(image, faces)


@dataclass(frozen=True, slots=True)
class NamedQuality:
    """A :class:`FaceQuality` and its catalogue id."""

    model_id: str
    adapter: FaceQuality

    def score(self, image: Image, faces: Sequence[Face]) -> NDArray[np.float32]:
        """Return N float32, higher is better."""
        return self.adapter.score(image, faces)


@dataclass(frozen=True, slots=True)
class NamedRestorer:
    """A :class:`FaceRestorer` and its catalogue id."""

    model_id: str
    adapter: FaceRestorer

    @property
    def template(self) -> FaceTemplate:
        """How crops are aligned."""
        return self.adapter.template

    @property
    def size(self) -> int:
        """The side of the crops in pixels."""
        return self.adapter.size

    def restore(self, crop: Pixels, fidelity: float) -> Pixels:
        """Return the restored crop."""
        return self.adapter.restore(crop, fidelity)


@dataclass(frozen=True, slots=True)
class NamedUpscaler:
    """An :class:`Upscaler` and its catalogue id."""

    model_id: str
    adapter: Upscaler

    @property
    def factor(self) -> int:
        """The network's own factor."""
        return self.adapter.factor

    def upscale(self, image: Image, *, progress: Progress = silent, cancel: CancelToken | None = None) -> Image:
        """Return the enlarged picture."""
        return self.adapter.upscale(image, progress=progress, cancel=cancel)


@dataclass(frozen=True, slots=True)
class NamedSwapper:
    """A :class:`FaceSwapper`, its catalogue id and that of the embedder whose vectors it takes."""

    model_id: str
    adapter: FaceSwapper
    embedder_id: str

    @property
    def template(self) -> FaceTemplate:
        """How crops are aligned."""
        return self.adapter.template

    @property
    def size(self) -> int:
        """The side of the crops in pixels."""
        return self.adapter.size

    def swap(self, crop: Pixels, identity: NDArray[np.float32]) -> SwappedFace:
        """Return the crop with the face of ``identity``."""
        return self.adapter.swap(crop, identity)


@dataclass(frozen=True, slots=True)
class NamedParser:
    """A :class:`FaceParser` and its catalogue id."""

    model_id: str
    adapter: FaceParser

    @property
    def template(self) -> FaceTemplate:
        """How crops are aligned."""
        return self.adapter.template

    @property
    def size(self) -> int:
        """The side of the crops in pixels."""
        return self.adapter.size

    def parse(self, crops: Sequence[Pixels]) -> tuple[NDArray[np.uint8], ...]:
        """Return the part of every pixel of each crop."""
        return self.adapter.parse(crops)


@dataclass(frozen=True, slots=True)
class NamedOcclusionFinder:
    """An :class:`OcclusionFinder` and its catalogue id."""

    model_id: str
    adapter: OcclusionFinder

    def visible(self, crop: Pixels) -> Alpha:
        """Return how much of each pixel is uncovered face."""
        return self.adapter.visible(crop)
