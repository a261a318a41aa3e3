"""Facecraft: a self-hosted face and portrait studio.

    from facecraft import PortraitOptions, Studio

    with Studio.open() as studio:
        studio.portrait("me.jpg", PortraitOptions(background="white")).save("portrait")

The names below are loaded when they are first used: importing the package loads no network runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facecraft.errors import FacecraftError, InputError, NoFaceFoundError
    from facecraft.faces.face import Face
    from facecraft.faces.selection import FacePolicy
    from facecraft.imaging.codecs import OutputFormat
    from facecraft.imaging.image import Image, Mask
    from facecraft.pipelines.face_reports import CompareReport, EmbeddingsReport, FacesReport
    from facecraft.pipelines.pipeline import Pipeline, Step
    from facecraft.pipelines.presets import (
        CutoutPresetOptions,
        PortraitOptions,
        RestorePresetOptions,
        SwapPresetOptions,
        UpscalePresetOptions,
    )
    from facecraft.pipelines.recognition import AttributesOptions, CompareOptions, DescribeOptions, EmbedOptions
    from facecraft.pipelines.report import Report
    from facecraft.pipelines.stages.detect import DetectOptions
    from facecraft.progress import CancelToken, ProgressEvent
    from facecraft.settings import Settings
    from facecraft.studio import Result, Studio

_HOMES = {
    "AttributesOptions": "pipelines.recognition",
    "CancelToken": "progress",
    "CompareOptions": "pipelines.recognition",
    "CompareReport": "pipelines.face_reports",
    "CutoutPresetOptions": "pipelines.presets",
    "DescribeOptions": "pipelines.recognition",
    "DetectOptions": "pipelines.stages.detect",
    "EmbedOptions": "pipelines.recognition",
    "EmbeddingsReport": "pipelines.face_reports",
    "Face": "faces.face",
    "FacePolicy": "faces.selection",
    "FacecraftError": "errors",
    "FacesReport": "pipelines.face_reports",
    "Image": "imaging.image",
    "InputError": "errors",
    "Mask": "imaging.image",
    "OutputFormat": "imaging.codecs",
    "NoFaceFoundError": "errors",
    "Pipeline": "pipelines.pipeline",
    "PortraitOptions": "pipelines.presets",
    "ProgressEvent": "progress",
    "Report": "pipelines.report",
    "RestorePresetOptions": "pipelines.presets",
    "Result": "studio",
    "Settings": "settings",
    "Step": "pipelines.pipeline",
    "Studio": "studio",
    "SwapPresetOptions": "pipelines.presets",
    "UpscalePresetOptions": "pipelines.presets",
}

__all__ = [
    "AttributesOptions", "CancelToken", "CompareOptions", "CompareReport", "CutoutPresetOptions", "DescribeOptions",
    "DetectOptions", "EmbedOptions", "EmbeddingsReport", "Face", "FacePolicy", "FacecraftError", "FacesReport",
    "Image", "InputError", "Mask", "NoFaceFoundError", "OutputFormat", "Pipeline", "PortraitOptions", "ProgressEvent",
    "Report", "RestorePresetOptions", "Result", "Settings", "Step", "Studio", "SwapPresetOptions",
    "UpscalePresetOptions",
]  # fmt: skip


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'facecraft' has no attribute {name!r}")
    value: object = getattr(import_module(f"facecraft.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
