"""Stage ``crop``: level the eyes and frame the head, in one resampling from the original's pixels."""

from __future__ import annotations

from dataclasses import replace

from facecraft.errors import NoFaceFoundError, PipelineError
from facecraft.faces.framing import frame_together
from facecraft.imaging.geometry import Size
from facecraft.imaging.resample import warp, warp_mask
from facecraft.models.hub import ModelHub
from facecraft.options import Fraction, Options, Side
from facecraft.pipelines.stage import Context, stage

EDGE_SHOWN = 0.5
"""Coverage below which the end of the photo shows in the frame."""


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
    """Frames the chosen faces together. What lies outside the original is marked in ``coverage``, never clamped."""
    if context.size is not None:
        raise PipelineError("A picture is cropped once: the second crop would resample it again.")
    size = Size(options.width, options.height)
    if not context.chosen:
        raise NoFaceFoundError
    faces = [context.faces[index] for index in context.chosen]
    transform = frame_together(faces, size, options.face_margin, straighten=options.straighten)
    warped = warp(context.canvas, transform, size)
    coverage = warped.inside
    if context.coverage is not None:
        coverage = coverage * warp_mask(context.coverage, transform, size)
    if float(coverage.min()) < EDGE_SHOWN:
        context = context.warn(
            "The photo ends inside the frame: a smaller face_margin or another photo may look better."
        )
    return replace(context, transform=transform, size=size, pixels=warped.pixels, coverage=coverage)
