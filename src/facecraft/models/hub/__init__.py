"""From a wish ("auto" or a catalogue id) to an adapter over a loaded network."""

from facecraft.models.hub.architectures import ARCHITECTURES
from facecraft.models.hub.hub import ModelHub, Probe
from facecraft.models.hub.named import (
    NamedAttributes,
    NamedDetector,
    NamedEmbedder,
    NamedLandmarker,
    NamedOcclusionFinder,
    NamedParser,
    NamedQuality,
    NamedRestorer,
    NamedSegmenter,
    NamedSwapper,
    NamedUpscaler,
)

__all__ = [
    "ARCHITECTURES",
    "ModelHub",
    "NamedAttributes",
    "NamedDetector",
    "NamedEmbedder",
    "NamedLandmarker",
    "NamedOcclusionFinder",
    "NamedParser",
    "NamedQuality",
    "NamedRestorer",
    "NamedSegmenter",
    "NamedSwapper",
    "NamedUpscaler",
    "Probe",
]
