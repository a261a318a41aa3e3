"""Pipelines that people ask for by name, each declared by one flat set of options.

The flat set inherits the options of its stages, so a field is declared once, in its stage, and a preset cuts itself
into steps with :meth:`facecraft.options.Options.pick`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from facecraft.faces.selection import FacePolicy
from facecraft.imaging.codecs import OutputFormat
from facecraft.imaging.tone import ToneOptions
from facecraft.pipelines.encode import EncodeOptions
from facecraft.pipelines.pipeline import Pipeline
from facecraft.pipelines.stages.background import BackgroundOptions
from facecraft.pipelines.stages.crop import CropOptions
from facecraft.pipelines.stages.cutout import CutoutOptions
from facecraft.pipelines.stages.detect import DetectOptions
from facecraft.pipelines.stages.restore import RestoreOptions
from facecraft.pipelines.stages.shape import ShapeOptions


class Preset(EncodeOptions):
    """A flat set of options that stands for a whole pipeline."""

    name: ClassVar[str]
    """The word for it at every door: endpoint, command, method."""
    summary: ClassVar[str]

    def pipeline(self) -> Pipeline:
        """Return the pipeline these options stand for."""
        return Pipeline(output=self.pick(EncodeOptions))


class PortraitOptions(
    DetectOptions,
    RestoreOptions,
    CropOptions,
    CutoutOptions,
    BackgroundOptions,
    ToneOptions,
    ShapeOptions,
    Preset,
):
    """A finished portrait: face found, subject cut out, straightened, framed, toned and cut to shape."""

    name: ClassVar[str] = "portrait"
    summary: ClassVar[str] = "Turn a photo into a finished portrait"

    def pipeline(self) -> Pipeline:
        """Return detect → restore → crop → cutout → background → tone → shape."""
        return Pipeline.of(
            self.pick(EncodeOptions),
            detect=self.pick(DetectOptions),
            restore=self.pick(RestoreOptions),
            crop=self.pick(CropOptions),
            cutout=self.pick(CutoutOptions),
            background=self.pick(BackgroundOptions),
            tone=self.pick(ToneOptions),
            shape=self.pick(ShapeOptions),
        )


class CutoutPresetOptions(CutoutOptions, BackgroundOptions, Preset):
    """The people of a picture without their background, at the original size."""

    name: ClassVar[str] = "cutout"
    summary: ClassVar[str] = "Cut the people out of a photo, at its own size"

    formats: Annotated[tuple[OutputFormat, ...], Field(min_length=1, max_length=4)] = (OutputFormat.PNG,)
    """Formats to write (comma list). PNG, WebP and AVIF keep transparency."""

    def pipeline(self) -> Pipeline:
        """Return detect (of everybody, to look closely where people are) → cutout → background."""
        return Pipeline.of(
            self.pick(EncodeOptions),
            detect=DetectOptions(faces=FacePolicy.ALL),
            cutout=self.pick(CutoutOptions),
            background=self.pick(BackgroundOptions),
        )


PRESETS: dict[str, type[Preset]] = {preset.name: preset for preset in (PortraitOptions, CutoutPresetOptions)}
"""Every preset by name. Doors derive their endpoint or command from this."""
