"""The architectures that find, describe and compare faces, and the functions that build their adapters.

Adapters are imported inside these functions, so that a program pays only for what it uses.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from facecraft.catalog.spec import ModelSpec
from facecraft.models.hub.networks import Networks
from facecraft.models.protocols import FaceAttributes, FaceDetector, FaceEmbedder, FaceLandmarker, FaceQuality

_SIDE = 640


def number(spec: ModelSpec, name: str, default: float) -> float:
    """A numeric parameter of the catalogue, or ``default``."""
    value = spec.parameters.get(name, default)
    return default if isinstance(value, str) else float(value)


def scrfd(spec: ModelSpec, networks: Networks) -> FaceDetector:
    """SCRFD with landmarks; parameters ``score`` and ``size``."""
    from facecraft.models.detectors import Scrfd

    return Scrfd(
        networks.session(spec), min_score=number(spec, "score", 0.5), max_side=int(number(spec, "size", _SIDE))
    )


def retinaface(spec: ModelSpec, networks: Networks) -> FaceDetector:
    """RetinaFace; parameters ``score``, ``iou``, ``size`` and ``color`` (``rgb`` where a copy was run so)."""
    from facecraft.models.detectors import RetinaFace

    return RetinaFace(
        networks.session(spec),
        min_score=number(spec, "score", 0.5),
        iou=number(spec, "iou", 0.4),
        max_side=int(number(spec, "size", _SIDE)),
        bgr=spec.parameters.get("color", "bgr") == "bgr",
    )


def inspireface_detector(spec: ModelSpec, networks: Networks) -> FaceDetector:
    """The detector of an InspireFace pack."""
    from facecraft.models.inspireface import InspireDetector

    return InspireDetector(networks.inspire_pack(spec))


def landmark_2d106(spec: ModelSpec, networks: Networks) -> FaceLandmarker:
    """InsightFace's 106 points."""
    from facecraft.models.landmarkers import POINTS_106, InsightLandmarker

    return InsightLandmarker(networks.session(spec), POINTS_106)


def landmark_3d68(spec: ModelSpec, networks: Networks) -> FaceLandmarker:
    """InsightFace's 68 points with depth."""
    from facecraft.models.landmarkers import POINTS_68, InsightLandmarker

    return InsightLandmarker(networks.session(spec), POINTS_68)


def fan_2d(spec: ModelSpec, networks: Networks) -> FaceLandmarker:
    """2DFAN-4 with heat maps."""
    from facecraft.models.landmarkers import FaceAlignmentNetwork

    return FaceAlignmentNetwork(networks.session(spec))


def fan_68_5(spec: ModelSpec, networks: Networks) -> FaceLandmarker:
    """The guess of 68 points from five."""
    from facecraft.models.landmarkers import FivePointGuess

    return FivePointGuess(networks.session(spec))


def arcface(spec: ModelSpec, networks: Networks) -> FaceEmbedder:
    """ArcFace and what keeps its contract."""
    from facecraft.models.embedders import ARCFACE, AlignedEmbedder

    return AlignedEmbedder(networks.session(spec), ARCFACE, spec.id)


def sface(spec: ModelSpec, networks: Networks) -> FaceEmbedder:
    """SFace, in full precision or quantized."""
    from facecraft.models.embedders import SFACE, AlignedEmbedder

    return AlignedEmbedder(networks.session(spec), SFACE, spec.id)


def inspireface_embedder(spec: ModelSpec, networks: Networks) -> FaceEmbedder:
    """The recognizer of an InspireFace pack."""
    from facecraft.models.inspireface import InspireEmbedder

    return InspireEmbedder(networks.inspire_pack(spec), spec.id)


def genderage(spec: ModelSpec, networks: Networks) -> FaceAttributes:
    """InsightFace's network for sex and age."""
    from facecraft.models.attributes import GenderAge

    return GenderAge(networks.session(spec))


def fairface(spec: ModelSpec, networks: Networks) -> FaceAttributes:
    """FairFace; parameter ``outputs``: ``logits``, or ``classes`` in FaceFusion's export."""
    from facecraft.models.attributes import FAIRFACE_CLASSES, FAIRFACE_LOGITS, FairFace

    classes = spec.parameters.get("outputs") == "classes"
    return FairFace(networks.session(spec), FAIRFACE_CLASSES if classes else FAIRFACE_LOGITS)


def ediffiqa(spec: ModelSpec, networks: Networks) -> FaceQuality:
    """eDifFIQA."""
    from facecraft.models.quality import Ediffiqa

    return Ediffiqa(networks.session(spec))
