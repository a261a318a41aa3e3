"""Stage ``crop``: level the eyes and frame the head, in one resampling from the original's pixels."""

from __future__ import annotations

from dataclasses import replace

from facecraft.errors import PipelineError
from facecraft.faces.framing import frame
from facecraft.imaging.geometry import Size
from facecraft.imaging.resample import warp
from facecraft.models.hub import ModelHub
from facecraft.options import Fraction, Options, Side
from facecraft.pipelines.stage import Context, stage


class CropOptions(Options):
    """What part of the picture is shown, and how large."""

    width: Side = 648
    """Width of the result in pixels."""
    height: Side = 648
    """Height of the result in pixels."""
    face_margin: Fraction = 0.3
    """Room around the head as a fraction of its height."""
    straighten: bool = True
    """Turn the picture so that the eyes are level."""


@stage("crop", CropOptions)
def crop(context: Context, options: CropOptions, models: ModelHub) -> Context:  # noqa: ARG001 - the stage protocol
    """Frames the first chosen face. What lies outside the original is marked in ``coverage``, never clamped."""
    if context.size is not None:
        raise PipelineError("A picture is cropped once: the second crop would resample it again.")
    size = Size(options.width, options.height)
    transform = frame(context.face, size, options.face_margin, straighten=options.straighten)
    warped = warp(context.canvas, transform, size)
    return replace(context, transform=transform, size=size, pixels=warped.pixels, coverage=warped.inside)
