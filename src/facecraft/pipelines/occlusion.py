"""What lies in front of a face, such as hair or a hand, stays where a network redraws the face."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Self, TypeVar

import numpy as np

from facecraft.errors import LicenseNotAcceptedError, ModelNotInstalledError, RuntimeMissingError
from facecraft.faces import parts
from facecraft.faces.alignment import AlignedCrop, align
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Alpha, Image
from facecraft.imaging.labels import membership
from facecraft.imaging.resample import warp_mask
from facecraft.models.hub import ModelHub, NamedOcclusionFinder, NamedParser
from facecraft.pipelines.redraw import soft_square
from facecraft.pipelines.stage import Context

NamedT = TypeVar("NamedT")

_EDGE = 5 / 512
"""Sigma of the edge between what is redrawn and what stays, as a fraction of the parser's crop."""

RESTORED = frozenset({*parts.FACE_PARTS, parts.FacePart.LEFT_EAR, parts.FacePart.RIGHT_EAR, parts.FacePart.EARRING})
"""What a restoration redraws: as in facexlib's ``FaceRestoreHelper``, which pastes GFPGAN's faces, glasses too."""
SWAPPED = frozenset(parts.FACE_PARTS) - {parts.FacePart.GLASSES}
"""What a swap redraws: glasses belong to the one who wears them."""


class Occlusion(StrEnum):
    """Whether what lies in front of a face is looked for."""

    AUTO = "auto"
    """Where a model that finds it is installed."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Cover:
    """Finds what lies in front of faces, with the models that are installed; without any, nothing does."""

    parser: NamedParser | None
    finder: NamedOcclusionFinder | None

    @classmethod
    def open(cls, models: ModelHub, wish: Occlusion) -> Self:
        """Take the best models that are installed. Never fails for a missing one."""
        if wish is Occlusion.OFF:
            return cls(None, None)
        return cls(_installed(models.parser), _installed(models.occlusion))

    def mask(self, picture: Image, face: Face, crop: AlignedCrop, drawn: Collection[parts.FacePart]) -> Alpha:
        """Return how much of each pixel of ``crop`` may be redrawn: S×S float32, 0..1.

        ``crop`` is that of ``face`` in ``picture``. Its border is soft; of the rest it is what shows one of the parts
        ``drawn`` and is not covered. Raises InferenceError.
        """
        mask = soft_square(crop.size)
        if self.parser is not None:
            seen = align(picture, face, self.parser.template, self.parser.size)
            (labels,) = self.parser.parse([seen.pixels])
            shown = membership(labels, drawn, sigma=_EDGE * self.parser.size)
            mask = np.minimum(mask, warp_mask(shown, seen.inverse.then(crop.transform), Size(crop.size, crop.size)))
        if self.finder is not None:
            mask = np.minimum(mask, self.finder.visible(crop.pixels))
        return mask

    def noted(self, context: Context) -> Context:
        """Return ``context`` with the models that looked."""
        if self.parser is not None:
            context = context.used("face_parsing", self.parser.model_id)
        if self.finder is not None:
            context = context.used("face_occlusion", self.finder.model_id)
        return context


def _installed(choose: Callable[[], NamedT]) -> NamedT | None:
    try:
        return choose()
    except (ModelNotInstalledError, LicenseNotAcceptedError, RuntimeMissingError):
        return None
