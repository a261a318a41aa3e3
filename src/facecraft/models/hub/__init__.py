"""From a wish ("auto" or a catalogue id) to an adapter over a loaded network."""

from facecraft.models.hub.architectures import ARCHITECTURES
from facecraft.models.hub.hub import ModelHub, Probe
from facecraft.models.hub.named import (
    NamedDetector,
    NamedEmbedder,
    NamedLandmarker,
    NamedRestorer,
    NamedSegmenter,
)

__all__ = [
    "ARCHITECTURES",
    "ModelHub",
    "NamedDetector",
    "NamedEmbedder",
    "NamedLandmarker",
    "NamedRestorer",
    "NamedSegmenter",
    "Probe",
]
