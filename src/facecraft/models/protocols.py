"""What a model can do, one method for each kind of work. Adapters implement these; stages use these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.alignment import FaceTemplate
from facecraft.faces.attributes import Attributes
from facecraft.faces.face import DenseLandmarks, Face
from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Alpha, Image, Mask, Pixels
from facecraft.progress import CancelToken, Progress, silent


class FaceDetector(Protocol):
    """Finds faces."""

    def detect(self, image: Image) -> tuple[Face, ...]:
        """Return all faces that stand about upright in ``image``, best score first; empty when there is none.

        One pass at the network's own input size: the search over scales and turns is
        :func:`facecraft.faces.search.find_faces`.
        """
        ...


class FaceLandmarker(Protocol):
    """Finds many landmarks of one face."""

    def locate(self, image: Image, face: Face) -> DenseLandmarks | None:
        """Return the dense landmarks of ``face`` in picture pixels, or None when the crop shows no face."""
        ...


class FaceEmbedder(Protocol):
    """Turns aligned face crops into vectors that are close for one person."""

    @property
    def model_id(self) -> str:
        """The catalogue id: vectors of different models are never compared."""
        ...

    def embed(self, image: Image, faces: Sequence[Face]) -> NDArray[np.float32]:
        """Return N×D float32 unit vectors, one for each face."""
        ...


class FaceAttributes(Protocol):
    """Guesses apparent age and sex."""

    def describe(self, image: Image, faces: Sequence[Face]) -> tuple[Attributes, ...]:
        """Return what the network believes of each face, in their order."""
        ...


class FaceQuality(Protocol):
    """Judges how usable a picture of a face is for recognition."""

    def score(self, image: Image, faces: Sequence[Face]) -> NDArray[np.float32]:
        """Return N float32, one for each face; higher is better. Scores of different models are not comparable."""
        ...


class SubjectSegmenter(Protocol):
    """Tells the person from the background."""

    def segment(self, image: Image, subject: Box | None = None, *, quick: bool = False) -> Mask:
        """Return a soft mask of the size of ``image``.

        ``subject`` (pixels) says where to look closely; ``quick`` asks for fewer looks where there are several.
        """
        ...


class FaceRestorer(Protocol):
    """Restores a blurred or damaged face."""

    @property
    def template(self) -> FaceTemplate:
        """How crops are aligned."""
        ...

    @property
    def size(self) -> int:
        """The side S of the crops in pixels."""
        ...

    def restore(self, crop: Pixels, fidelity: float) -> Pixels:
        """Return the restored S×S×3 RGB crop; ``fidelity`` 0..1, high stays close to the input where it is heard."""
        ...


class FaceParser(Protocol):
    """Tells the parts of a face apart."""

    @property
    def template(self) -> FaceTemplate:
        """How crops are aligned."""
        ...

    @property
    def size(self) -> int:
        """The side in pixels at which the network looks; crops of this side are not resampled."""
        ...

    def parse(self, crops: Sequence[Pixels]) -> tuple[NDArray[np.uint8], ...]:
        """Return the :class:`~facecraft.faces.parts.FacePart` of every pixel of each H×W×3 RGB crop, H×W uint8."""
        ...


class OcclusionFinder(Protocol):
    """Finds what covers a face."""

    def visible(self, crop: Pixels) -> Alpha:
        """Return how much of each pixel of the H×W×3 RGB ``crop`` is uncovered face: H×W float32, 0..1."""
        ...


class Upscaler(Protocol):
    """Enlarges a picture."""

    @property
    def factor(self) -> int:
        """The network's own factor."""
        ...

    def upscale(self, image: Image, *, progress: Progress = silent, cancel: CancelToken | None = None) -> Image:
        """Return ``image`` enlarged by ``factor``, with its transparency; of any size, in bounded memory.

        ``progress`` hears of every tile (0..1). Raises CancelledError between tiles when ``cancel`` is set.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SwappedFace:
    """What a swapper drew."""

    pixels: Pixels
    """S×S×3 RGB uint8."""
    mask: Alpha | None
    """S×S float32 0..1: how much of each pixel the network wants used; None when it does not say."""


class FaceSwapper(Protocol):
    """Puts an identity onto a face crop."""

    @property
    def template(self) -> FaceTemplate:
        """How crops are aligned."""
        ...

    @property
    def size(self) -> int:
        """The side S of the crops in pixels."""
        ...

    def swap(self, crop: Pixels, identity: NDArray[np.float32]) -> SwappedFace:
        """Return the S×S×3 RGB crop with the face of ``identity`` (a unit embedding of the swapper's own space)."""
        ...
