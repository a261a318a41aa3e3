"""What the endpoints of Facecraft 1.0 take, field by field."""

from __future__ import annotations

from pydantic import ConfigDict

from facecraft.api.requests.forms import FileForm, FilesForm
from facecraft.imaging.codecs import OutputFormat
from facecraft.imaging.shapes import Shape
from facecraft.options import Fraction, Options, Side
from facecraft.pipelines.presets import PortraitOptions
from facecraft.settings import Byte, Settings


class LookOptions(Options):
    """What the first Facecraft let people choose of a portrait; other fields are ignored, as it did.

    Defaults that an operator can choose are not said here: they come from the settings.
    """

    model_config = ConfigDict(extra="ignore")

    background_r: Byte
    """Red part of the colour behind the portrait in the JPEG; the PNG is transparent."""
    background_g: Byte
    """Green part of that colour."""
    background_b: Byte
    """Blue part of that colour."""
    face_margin: Fraction
    """Room around the head as a fraction of its height."""
    use_oval_mask: bool
    """Cut the portrait to an oval."""
    enhance_face: bool = True
    """Restore the face when a restoration model is installed."""
    enhance_fidelity: Fraction
    """How close restoration stays to the original."""

    def portrait(
        self, settings: Settings, *, width: int, height: int, formats: tuple[OutputFormat, ...]
    ) -> PortraitOptions:
        """Return the options of today that these stand for."""
        return settings.portrait.with_changes(
            width=width,
            height=height,
            formats=formats,
            fill=(self.background_r, self.background_g, self.background_b),
            face_margin=self.face_margin,
            shape=Shape.OVAL if self.use_oval_mask else Shape.NONE,
            restore=self.enhance_face,
            fidelity=self.enhance_fidelity,
        )


class ProcessOptions(LookOptions):
    """The options of ``/process``."""

    width: Side
    """Width of the portrait in pixels."""
    height: Side
    """Height of the portrait in pixels."""
    return_base64: bool = False
    """Put the files into the reply, too."""


class QuickOptions(LookOptions):
    """The options of ``/process/quick``."""

    size: Side
    """Width and height of the portrait in pixels."""


class BatchOptions(ProcessOptions):
    """The options of ``/process/batch``."""

    return_base64: bool = False
    """Put the files into the reply, too, as far as they fit: all of them together may have 32 MiB."""


class ProcessForm(ProcessOptions, FileForm):
    """A picture and how it shall look."""

    model_config = ConfigDict(extra="ignore")


class QuickForm(QuickOptions, FileForm):
    """A picture and how it shall look."""

    model_config = ConfigDict(extra="ignore")


class BatchForm(BatchOptions, FilesForm):
    """Pictures and how they shall look."""

    model_config = ConfigDict(extra="ignore")


def defaults(settings: Settings, options: type[LookOptions]) -> LookOptions:
    """Return what this server's operator chose."""
    chosen = {
        "background_r": settings.default_background_r,
        "background_g": settings.default_background_g,
        "background_b": settings.default_background_b,
        "face_margin": settings.default_face_margin,
        "use_oval_mask": settings.default_oval_mask,
        "enhance_fidelity": settings.default_enhance_fidelity,
        "width": settings.default_width,
        "height": settings.default_height,
        "size": settings.default_width,
    }
    return options.model_validate(chosen)
