"""Stage ``shape``: the outline of the result, drawn at output size."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Annotated

from pydantic import Field

from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Alpha
from facecraft.imaging.shapes import Shape, shape_mask
from facecraft.models.hub import ModelHub
from facecraft.options import Fraction, Options
from facecraft.pipelines.stage import Context, stage


class ShapeOptions(Options):
    """The outline that the result is cut to."""

    shape: Shape = Shape.OVAL
    """Outline: oval, circle, rounded (a rectangle with round corners) or none."""
    feather: Annotated[float, Field(ge=0, le=25)] = 2.0
    """Softness of the outline, in percent of the shorter side of the result."""
    corner_radius: Annotated[float, Field(ge=0, le=0.5)] = 0.12
    """Radius of round corners as a fraction of the shorter side."""
    oval_size: Fraction = 0.96
    """Width and height of the oval or circle as a fraction of the result's."""


@stage("shape", ShapeOptions, weight=0.2)
def shape(context: Context, options: ShapeOptions, models: ModelHub) -> Context:  # noqa: ARG001 - the stage protocol
    """Replaces an outline that was drawn before."""
    if options.shape is Shape.NONE:
        return replace(context, shape=None)
    return replace(context, shape=_outline(context.canvas_size, options))


@lru_cache(maxsize=8)
def _outline(size: Size, options: ShapeOptions) -> Alpha:
    """Draw the outline, once for all pictures of one size and look."""
    outline = shape_mask(
        size,
        options.shape,
        radius=options.oval_size / 2,
        feather=options.feather,
        corner_radius=options.corner_radius,
    )
    outline.flags.writeable = False
    return outline
