"""One line for each architecture: its name in the catalogue and the function that builds its adapter.

Adapters are imported inside these functions, so that a program pays only for what it uses.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from facecraft.catalog.spec import ModelSpec, Task
from facecraft.inference.dlib import (
    DlibDescriptorNet,
    DlibDetector,
    DlibShapePredictor,
    load_descriptor_net,
    load_shape_predictor,
)
from facecraft.models.hub.networks import Networks
from facecraft.models.protocols import FaceDetector, FaceEmbedder, FaceLandmarker, FaceRestorer, SubjectSegmenter

AdapterT = TypeVar("AdapterT")
Build: TypeAlias = Callable[[ModelSpec, Networks], AdapterT]


def _blazeface(spec: ModelSpec, networks: Networks) -> FaceDetector:
    from facecraft.models.detectors import FULL_RANGE, SHORT_RANGE, BlazeFace

    variant = SHORT_RANGE if spec.parameters["variant"] == "short" else FULL_RANGE
    return BlazeFace(networks.session(spec), variant, min_score=_number(spec, "score", variant.score))


def _yunet(spec: ModelSpec, networks: Networks) -> FaceDetector:
    from facecraft.models.detectors import YuNet

    return YuNet(networks.session(spec), min_score=_number(spec, "score", 0.6))


def _dlib_hog(spec: ModelSpec, networks: Networks) -> FaceDetector:
    from facecraft.models.detectors import DlibHog

    predictor = next(iter(networks.usable(Task.FACE_LANDMARKS, "dlib_shape")), None)
    points = None if predictor is None else DlibShapePredictor(networks.dlib_file(predictor, load_shape_predictor))
    return DlibHog(DlibDetector(networks.dlib_detector(spec)), points)


def _facemesh(spec: ModelSpec, networks: Networks) -> FaceLandmarker:
    from facecraft.models.landmarkers import FaceMesh

    return FaceMesh(networks.session(spec))


def _dlib_shape(spec: ModelSpec, networks: Networks) -> FaceLandmarker:
    from facecraft.models.landmarkers import DlibPredictor

    return DlibPredictor(DlibShapePredictor(networks.dlib_file(spec, load_shape_predictor)))


def _selfie(spec: ModelSpec, networks: Networks) -> SubjectSegmenter:
    from facecraft.models.segmenters import SelfieSegmenter

    wide = [
        other
        for other in networks.usable(Task.MATTING, spec.architecture)
        if other != spec and _number(other, "width", 0) > _number(other, "height", 0)
    ]
    return SelfieSegmenter(networks.session(spec), networks.session(wide[0]) if wide else None)


def _dlib_resnet(spec: ModelSpec, networks: Networks) -> FaceEmbedder:
    from facecraft.models.embedders import DlibDescriptor

    return DlibDescriptor(DlibDescriptorNet(networks.dlib_file(spec, load_descriptor_net)), spec.id)


def _aligned_restorer(spec: ModelSpec, networks: Networks) -> FaceRestorer:
    from facecraft.models.restorers import AlignedRestorer

    return AlignedRestorer(networks.session(spec))


DETECTORS: Mapping[str, Build[FaceDetector]] = MappingProxyType(
    {
        "blazeface": _blazeface,
        "yunet": _yunet,
        "dlib_hog": _dlib_hog,
    }
)
LANDMARKERS: Mapping[str, Build[FaceLandmarker]] = MappingProxyType(
    {
        "facemesh": _facemesh,
        "dlib_shape": _dlib_shape,
    }
)
SEGMENTERS: Mapping[str, Build[SubjectSegmenter]] = MappingProxyType(
    {
        "selfie": _selfie,
    }
)
EMBEDDERS: Mapping[str, Build[FaceEmbedder]] = MappingProxyType(
    {
        "dlib_resnet": _dlib_resnet,
    }
)
RESTORERS: Mapping[str, Build[FaceRestorer]] = MappingProxyType(
    {
        "gfpgan": _aligned_restorer,
        "restoreformer": _aligned_restorer,
        "codeformer": _aligned_restorer,
        "gpen": _aligned_restorer,
    }
)

ARCHITECTURES: Mapping[Task, frozenset[str]] = MappingProxyType(
    {
        Task.FACE_DETECTION: frozenset(DETECTORS),
        Task.FACE_LANDMARKS: frozenset(LANDMARKERS),
        Task.MATTING: frozenset(SEGMENTERS),
        Task.FACE_RECOGNITION: frozenset(EMBEDDERS),
        Task.FACE_RESTORATION: frozenset(RESTORERS),
    }
)
"""The architectures that this version has adapters for, by task."""


def _number(spec: ModelSpec, name: str, default: float) -> float:
    value = spec.parameters.get(name, default)
    return default if isinstance(value, str) else float(value)
