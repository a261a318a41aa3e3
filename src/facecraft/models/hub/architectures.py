"""One line for each architecture: its name in the catalogue and the function that builds its adapter.

Adapters are imported inside these functions, so that a program pays only for what it uses.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from facecraft.catalog.spec import ModelSpec, Task
from facecraft.errors import ModelLoadError
from facecraft.faces.alignment import TEMPLATES, FaceTemplate
from facecraft.inference.dlib import (
    DlibDescriptorNet,
    DlibDetector,
    DlibShapePredictor,
    load_descriptor_net,
    load_shape_predictor,
)
from facecraft.models.hub import face_architectures as faces
from facecraft.models.hub.face_architectures import number
from facecraft.models.hub.networks import Networks
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
    Upscaler,
)

AdapterT = TypeVar("AdapterT")
Build: TypeAlias = Callable[[ModelSpec, Networks], AdapterT]


def _blazeface(spec: ModelSpec, networks: Networks) -> FaceDetector:
    from facecraft.models.detectors import FULL_RANGE, SHORT_RANGE, BlazeFace

    variant = SHORT_RANGE if spec.parameters["variant"] == "short" else FULL_RANGE
    return BlazeFace(networks.session(spec), variant, min_score=number(spec, "score", variant.score))


def _yunet(spec: ModelSpec, networks: Networks) -> FaceDetector:
    from facecraft.models.detectors import YuNet

    return YuNet(networks.session(spec), min_score=number(spec, "score", 0.6))


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
        if other != spec and number(other, "width", 0) > number(other, "height", 0)
    ]
    return SelfieSegmenter(networks.session(spec), networks.session(wide[0]) if wide else None)


def _dlib_resnet(spec: ModelSpec, networks: Networks) -> FaceEmbedder:
    from facecraft.models.embedders import DlibDescriptor

    return DlibDescriptor(DlibDescriptorNet(networks.dlib_file(spec, load_descriptor_net)), spec.id)


def _matting(spec: ModelSpec, networks: Networks) -> SubjectSegmenter:
    from facecraft.models.matting_networks import MattingContract, MattingNetwork, Normalization, Reading

    parameters = spec.parameters
    contract = MattingContract(
        size=int(number(spec, "size", 512)),
        normalization=Normalization(str(parameters["normalize"])),
        reading=Reading(str(parameters["map"])),
        by_maximum=parameters.get("scale") == "maximum",
        bgr=parameters.get("color") == "bgr",
        multiple=int(number(spec, "multiple", 32)) if parameters.get("dynamic") else None,
    )
    return MattingNetwork(networks.session(spec), contract)


def _pphumanseg(spec: ModelSpec, networks: Networks) -> SubjectSegmenter:
    from facecraft.models.matting_networks import PpHumanSeg

    return PpHumanSeg(networks.session(spec))


def _bisenet(spec: ModelSpec, networks: Networks) -> FaceParser:
    from facecraft.models.parsers import BiSeNet

    return BiSeNet(networks.session(spec), int(number(spec, "size", 512)))


def _xseg(spec: ModelSpec, networks: Networks) -> OcclusionFinder:
    from facecraft.models.parsers import XSeg

    return XSeg(networks.session(spec), int(number(spec, "size", 256)))


def _aligned_restorer(spec: ModelSpec, networks: Networks) -> FaceRestorer:
    from facecraft.models.restorers import AlignedRestorer

    return AlignedRestorer(networks.session(spec), _template(spec), int(number(spec, "size", 512)))


def _realesrgan(spec: ModelSpec, networks: Networks) -> Upscaler:
    from facecraft.models.upscalers import RealEsrgan

    return RealEsrgan(
        networks.session(spec),
        factor=int(number(spec, "factor", 4)),
        tile=int(number(spec, "tile", 256)),
        margin=int(number(spec, "overlap", 16)),
    )


def _inswapper(spec: ModelSpec, networks: Networks) -> FaceSwapper:
    from facecraft.models.swappers import InSwapper, read_emap

    session = networks.session(spec)
    return InSwapper(session, read_emap(networks.store.path(spec.id)), int(number(spec, "size", 128)))


def _hyperswap(spec: ModelSpec, networks: Networks) -> FaceSwapper:
    from facecraft.models.swappers import HyperSwap

    return HyperSwap(networks.session(spec), int(number(spec, "size", 256)))


DETECTORS: Mapping[str, Build[FaceDetector]] = MappingProxyType(
    {
        "blazeface": _blazeface,
        "yunet": _yunet,
        "dlib_hog": _dlib_hog,
        "scrfd": faces.scrfd,
        "retinaface": faces.retinaface,
        "inspireface": faces.inspireface_detector,
    }
)
LANDMARKERS: Mapping[str, Build[FaceLandmarker]] = MappingProxyType(
    {
        "facemesh": _facemesh,
        "dlib_shape": _dlib_shape,
        "landmark_2d106": faces.landmark_2d106,
        "landmark_3d68": faces.landmark_3d68,
        "fan_2d": faces.fan_2d,
        "fan_68_5": faces.fan_68_5,
    }
)
SEGMENTERS: Mapping[str, Build[SubjectSegmenter]] = MappingProxyType(
    {
        "selfie": _selfie,
        "u2net": _matting,
        "isnet": _matting,
        "birefnet": _matting,
        "ben2": _matting,
        "rmbg": _matting,
        "modnet": _matting,
        "pphumanseg": _pphumanseg,
    }
)
EMBEDDERS: Mapping[str, Build[FaceEmbedder]] = MappingProxyType(
    {
        "dlib_resnet": _dlib_resnet,
        "arcface": faces.arcface,
        "sface": faces.sface,
        "inspireface": faces.inspireface_embedder,
    }
)
ATTRIBUTES: Mapping[str, Build[FaceAttributes]] = MappingProxyType(
    {
        "genderage": faces.genderage,
        "fairface": faces.fairface,
    }
)
QUALITIES: Mapping[str, Build[FaceQuality]] = MappingProxyType(
    {
        "ediffiqa": faces.ediffiqa,
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

UPSCALERS: Mapping[str, Build[Upscaler]] = MappingProxyType(
    {
        "realesrgan": _realesrgan,
    }
)
SWAPPERS: Mapping[str, Build[FaceSwapper]] = MappingProxyType(
    {
        "inswapper": _inswapper,
        "hyperswap": _hyperswap,
    }
)
PARSERS: Mapping[str, Build[FaceParser]] = MappingProxyType(
    {
        "bisenet": _bisenet,
    }
)
OCCLUSION_FINDERS: Mapping[str, Build[OcclusionFinder]] = MappingProxyType(
    {
        "xseg": _xseg,
    }
)

ARCHITECTURES: Mapping[Task, frozenset[str]] = MappingProxyType(
    {
        Task.FACE_DETECTION: frozenset(DETECTORS),
        Task.FACE_LANDMARKS: frozenset(LANDMARKERS),
        Task.MATTING: frozenset(SEGMENTERS),
        Task.FACE_RECOGNITION: frozenset(EMBEDDERS),
        Task.FACE_ATTRIBUTES: frozenset(ATTRIBUTES),
        Task.FACE_QUALITY: frozenset(QUALITIES),
        Task.FACE_RESTORATION: frozenset(RESTORERS),
        Task.UPSCALE: frozenset(UPSCALERS),
        Task.FACE_SWAP: frozenset(SWAPPERS),
        Task.FACE_PARSING: frozenset(PARSERS),
        Task.FACE_OCCLUSION: frozenset(OCCLUSION_FINDERS),
    }
)
"""The architectures that this version has adapters for, by task."""


def _template(spec: ModelSpec) -> FaceTemplate:
    name = spec.parameters.get("template", "ffhq_512")
    for template in TEMPLATES:
        if template.name == name:
            return template
    raise ModelLoadError(f"{spec.id} names the template {name!r}, which does not exist.")
