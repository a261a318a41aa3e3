"""Adapters with the catalogue id they stand for, so that a report can name what did the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

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

AdapterT = TypeVar("AdapterT")


class _Cropped(Protocol):
    """A network that sees one aligned face."""

    @property
    def template(self) -> FaceTemplate: ...

    @property
    def size(self) -> int: ...


CroppedT = TypeVar("CroppedT", bound=_Cropped)


@dataclass(frozen=True, slots=True)
class _Named(Generic[AdapterT]):
    """An adapter and the catalogue id it stands for."""

    model_id: str
    adapter: AdapterT


@dataclass(frozen=True, slots=True)
class _OnCrops(_Named[CroppedT]):
    """One whose adapter sees aligned faces."""

    @property
    def template(self) -> FaceTemplate:
        """How crops are aligned."""
        return self.adapter.template

    @property
    def size(self) -> int:
        """The side of the crops in pixels."""
        return self.adapter.size


@dataclass(frozen=True, slots=True)
class NamedDetector(_Named[FaceDetector]):
    """A :class:`FaceDetector` and its catalogue id."""

    reach: float = 0.1
    """The smallest face it sees, as a fraction of the longer side of what it is shown."""

    def detect(self, image: Image) -> tuple[Face, ...]:
        """Return the faces that stand about upright, best score first."""
        return self.adapter.detect(image)


@dataclass(frozen=True, slots=True)
class NamedLandmarker(_Named[FaceLandmarker]):
    """A :class:`FaceLandmarker` and its catalogue id."""

    def locate(self, image: Image, face: Face) -> DenseLandmarks | None:
        """Return the dense landmarks of ``face``, or None when there is no face."""
        return self.adapter.locate(image, face)


@dataclass(frozen=True, slots=True)
class NamedSegmenter(_Named[SubjectSegmenter]):
    """A :class:`SubjectSegmenter` and its catalogue id."""

    def segment(self, image: Image, subject: Box | None = None, *, quick: bool = False) -> Mask:
        """Return a soft mask of the size of ``image``."""
        return self.adapter.segment(image, subject, quick=quick)


@dataclass(frozen=True, slots=True)
class NamedEmbedder(_Named[FaceEmbedder]):
    """A :class:`FaceEmbedder` and its catalogue id."""

    threshold: float | None = None
    """The cosine similarity from which its authors call two faces one person, where the catalogue knows it."""
    false_match_rate: float | None = None
    """The part of pairs of different people that reach the threshold, 0..1, where its authors state one."""

    def embed(self, image: Image, faces: Sequence[Face]) -> NDArray[np.float32]:
        """Return N×D float32 unit vectors."""
        return self.adapter.embed(image, faces)


@dataclass(frozen=True, slots=True)
class NamedAttributes(_Named[FaceAttributes]):
    """A :class:`FaceAttributes` and its catalogue id."""

    def describe(self, image: Image, faces: Sequence[Face]) -> tuple[Attributes, ...]:
        """Return apparent age and sex of every face."""
        return self.adapter.describe(image, faces)


@dataclass(frozen=True, slots=True)
class NamedQuality(_Named[FaceQuality]):
    """A :class:`FaceQuality` and its catalogue id."""

    def score(self, image: Image, faces: Sequence[Face]) -> NDArray[np.float32]:
        """Return N float32, higher is better."""
        return self.adapter.score(image, faces)


@dataclass(frozen=True, slots=True)
class NamedRestorer(_OnCrops[FaceRestorer]):
    """A :class:`FaceRestorer` and its catalogue id."""

    def restore(self, crop: Pixels, fidelity: float) -> Pixels:
        """Return the restored crop."""
        return self.adapter.restore(crop, fidelity)


@dataclass(frozen=True, slots=True)
class NamedUpscaler(_Named[Upscaler]):
    """An :class:`Upscaler` and its catalogue id."""

    @property
    def factor(self) -> int:
        """The network's own factor."""
        return self.adapter.factor

    def upscale(self, image: Image, *, progress: Progress = silent, cancel: CancelToken | None = None) -> Image:
        """Return the enlarged picture."""
        return self.adapter.upscale(image, progress=progress, cancel=cancel)


@dataclass(frozen=True, slots=True)
class NamedSwapper(_OnCrops[FaceSwapper]):
    """A :class:`FaceSwapper`, its catalogue id and that of the embedder whose vectors it takes."""

    embedder_id: str

    def swap(self, crop: Pixels, identity: NDArray[np.float32]) -> SwappedFace:
        """Return the crop with the face of ``identity``."""
        return self.adapter.swap(crop, identity)


@dataclass(frozen=True, slots=True)
class NamedParser(_OnCrops[FaceParser]):
    """A :class:`FaceParser` and its catalogue id."""

    def parse(self, crops: Sequence[Pixels]) -> tuple[NDArray[np.uint8], ...]:
        """Return the part of every pixel of each crop."""
        return self.adapter.parse(crops)


@dataclass(frozen=True, slots=True)
class NamedOcclusionFinder(_Named[OcclusionFinder]):
    """An :class:`OcclusionFinder` and its catalogue id."""

    def visible(self, crop: Pixels) -> Alpha:
        """Return how much of each pixel is uncovered face."""
        return self.adapter.visible(crop)
