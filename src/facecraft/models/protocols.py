"""What a model can do, one method for each kind of work. Adapters implement these; stages use these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.face import DenseLandmarks, Face
from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Image, Mask, Pixels


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


class SubjectSegmenter(Protocol):
    """Tells the person from the background."""

    def segment(self, image: Image, subject: Box | None = None) -> Mask:
        """Return a soft mask of the size of ``image``; ``subject`` (pixels) says where to look closely."""
        ...


class FaceRestorer(Protocol):
    """Restores a blurred or damaged face."""

    def restore(self, crop: Pixels, fidelity: float) -> Pixels:
        """Return the restored S×S×3 RGB crop; ``fidelity`` 0..1, high stays close to the input."""
        ...


class Upscaler(Protocol):
    """Enlarges a picture."""

    def upscale(self, image: Image) -> Image:
        """Return ``image`` enlarged by the network's own factor."""
        ...


class FaceSwapper(Protocol):
    """Puts an identity onto a face crop."""

    def swap(self, crop: Pixels, identity: NDArray[np.float32]) -> Pixels:
        """Return the S×S×3 RGB crop with the face of ``identity`` (a unit embedding)."""
        ...
