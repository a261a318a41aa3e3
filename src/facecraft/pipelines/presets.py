"""Pipelines that people ask for by name, each declared by one flat set of options.

The flat set inherits the options of its stages, so a field is declared once, in its stage, and a preset cuts itself
into steps with :meth:`facecraft.options.Options.pick`.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from facecraft.pipelines.stages.restore import REQUIRED, RestoreOptions
from facecraft.pipelines.stages.shape import ShapeOptions
from facecraft.pipelines.stages.swap import REFERENCE, SOURCE, SwapOptions
from facecraft.pipelines.stages.upscale import UpscaleOptions


@dataclass(frozen=True, slots=True)
class Companion:
    """A further picture that a preset takes."""

    role: str
    """Under what name the stages look for it."""
    field: str
    """The word for it at every door: form field, and with dashes the flag."""
    description: str
    required: bool = False


BACKGROUND_IMAGE = Companion(
    "background", "background_image", "Picture to put behind the subject, with background=image."
)
SWAP_SOURCE = Companion(SOURCE, "source", "The picture whose face is taken.", required=True)
SWAP_REFERENCE = Companion(
    REFERENCE,
    "reference",
    "A picture of the person to be replaced: the face most like its largest one is swapped, and no other. Decides in "
    "place of faces and swap_faces; contradicts swap_map.",
)


JpegLimit = Annotated[int, Field(ge=0, le=100_000)]


class Preset(EncodeOptions):
    """A flat set of options that stands for a whole pipeline."""

    name: ClassVar[str]
    """The word for it at every door: endpoint, command, method."""
    summary: ClassVar[str]
    companions: ClassVar[tuple[Companion, ...]] = ()
    """The further pictures that it takes."""

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
    companions: ClassVar[tuple[Companion, ...]] = (BACKGROUND_IMAGE,)

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
    companions: ClassVar[tuple[Companion, ...]] = (BACKGROUND_IMAGE,)

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


class RestorePresetOptions(DetectOptions, UpscaleOptions, RestoreOptions, Preset):
    """Blurred or damaged faces restored in their picture, and the picture enlarged."""

    name: ClassVar[str] = "restore"
    summary: ClassVar[str] = "Restore the faces of a photo and, if you like, enlarge it"

    faces: FacePolicy = FacePolicy.ALL
    """Which face is meant when there are several: largest, central, index (see face_index), only or all."""
    restorer: str = REQUIRED
    """Model that restores faces: a catalogue id, any for the best installed one, or auto to go on without one."""
    upscale: Annotated[float, Field(ge=1, le=4, allow_inf_nan=False)] = 1.0
    """How many times as wide and as high the picture becomes, 1 to 4."""
    formats: Annotated[tuple[OutputFormat, ...], Field(min_length=1, max_length=4)] = (OutputFormat.PNG,)
    """Formats to write (comma list). PNG, WebP and AVIF keep transparency."""
    jpeg_max_kb: JpegLimit = 0
    """The largest JPEG file in kilobytes of 1024 bytes; 0 means no limit."""

    def pipeline(self) -> Pipeline:
        """Return detect → upscale → restore: faces are laid into the picture at its final size."""
        return Pipeline.of(
            self.pick(EncodeOptions),
            detect=self.pick(DetectOptions),
            upscale=self.pick(UpscaleOptions),
            restore=self.pick(RestoreOptions),
        )


class UpscalePresetOptions(UpscaleOptions, Preset):
    """The whole picture, larger."""

    name: ClassVar[str] = "upscale"
    summary: ClassVar[str] = "Enlarge a photo, 1 to 4 times"

    formats: Annotated[tuple[OutputFormat, ...], Field(min_length=1, max_length=4)] = (OutputFormat.PNG,)
    """Formats to write (comma list). PNG, WebP and AVIF keep transparency."""
    jpeg_max_kb: JpegLimit = 0
    """The largest JPEG file in kilobytes of 1024 bytes; 0 means no limit."""

    def pipeline(self) -> Pipeline:
        """Return upscale alone."""
        return Pipeline.of(self.pick(EncodeOptions), upscale=self.pick(UpscaleOptions))


class SwapPresetOptions(DetectOptions, SwapOptions, RestoreOptions, Preset):
    """The face of a second picture on faces of the first."""

    name: ClassVar[str] = "swap"
    summary: ClassVar[str] = "Put the face of a second photo onto faces of the first"
    companions: ClassVar[tuple[Companion, ...]] = (SWAP_SOURCE, SWAP_REFERENCE)

    restore: bool = False
    """Restore the face afterwards when a restoration model is installed; without one the stage is skipped and says so."""
    formats: Annotated[tuple[OutputFormat, ...], Field(min_length=1, max_length=4)] = (OutputFormat.PNG,)
    """Formats to write (comma list). PNG, WebP and AVIF keep transparency."""
    jpeg_max_kb: JpegLimit = 0
    """The largest JPEG file in kilobytes of 1024 bytes; 0 means no limit."""

    def pipeline(self) -> Pipeline:
        """Return detect → swap → restore."""
        return Pipeline.of(
            self.pick(EncodeOptions),
            detect=self.pick(DetectOptions),
            swap=self.pick(SwapOptions),
            restore=self.pick(RestoreOptions),
        )


PRESETS: dict[str, type[Preset]] = {
    preset.name: preset
    for preset in (
        PortraitOptions,
        CutoutPresetOptions,
        RestorePresetOptions,
        UpscalePresetOptions,
        SwapPresetOptions,
    )
}
"""Every preset by name. Doors derive their endpoint or command from this."""
COMPANIONS = tuple(dict.fromkeys(companion for preset in PRESETS.values() for companion in preset.companions))
"""Every picture that a pipeline may take besides the one it works on, each once."""
