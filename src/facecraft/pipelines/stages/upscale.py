"""Stage ``upscale``: enlarge the whole picture, with a network where one is installed."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from facecraft.errors import ImageTooLargeError, LicenseNotAcceptedError, ModelNotInstalledError, RuntimeMissingError
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Alpha, Image, Pixels
from facecraft.imaging.resample import resize, resize_transform
from facecraft.models.hub import ModelHub
from facecraft.models.hub.hub import AUTO
from facecraft.options import Options
from facecraft.pipelines.stage import Context, stage

INTERPOLATION = "none"
"""The choice of no network."""
MOST_PIXELS = 256_000_000
"""The largest picture that is made, also on the way to a smaller one: 12 megapixels enlarged four times fit."""


class UpscaleOptions(Options):
    """How the picture is enlarged."""

    upscale: Annotated[float, Field(ge=1, le=4, allow_inf_nan=False)] = 2.0
    """How many times as wide and as high the picture becomes, 1 to 4."""
    upscaler: str = AUTO
    """Model that enlarges the picture: a catalogue id, auto for the best installed one (interpolation without one) or
    none for interpolation."""


@stage("upscale", UpscaleOptions, weight=20.0)
def upscale(context: Context, options: UpscaleOptions, models: ModelHub) -> Context:
    """Enlarges the picture being made and everything that belongs to it.

    A network has its own factor; what it makes is then resized to the factor asked for. Raises ImageTooLargeError.
    """
    if options.upscale == 1:
        return context.skip("upscale", "the factor is 1")
    before = context.canvas_size
    size = Size(round(before.width * options.upscale), round(before.height * options.upscale))
    alpha = context.original.alpha if context.alpha is None and context.size is None else context.alpha
    if options.upscaler == INTERPOLATION:
        _require_room(size)
        pixels = resize(np.ascontiguousarray(context.canvas), size)
    else:
        try:
            network = models.upscaler(options.upscaler)
        except (ModelNotInstalledError, LicenseNotAcceptedError, RuntimeMissingError) as error:
            if options.upscaler != AUTO:
                raise
            reason = f"{error.message} {error.hint or ''}".strip()
            context = context.warn(f"The picture was enlarged by interpolation. {reason}")
            _require_room(size)
            pixels = resize(np.ascontiguousarray(context.canvas), size)
        else:
            _require_room(Size(before.width * network.factor, before.height * network.factor))
            watch = context.watch
            # With its transparency, so that hidden colours do not bleed into the edge.
            source = context.original if context.pixels is None else Image(context.canvas)
            large = network.upscale(source, progress=watch.progress, cancel=watch.cancel)
            pixels = resize(large.rgb, size)
            context = context.used("upscale", network.model_id)
    return replace(
        context,
        transform=context.transform.then(resize_transform(before, size)),
        size=size,
        pixels=pixels,
        alpha=_mask(alpha, size),
        coverage=_mask(context.coverage, size),
        shape=_mask(context.shape, size),
        backdrop=_picture(context.backdrop, size),
        scene=_picture(context.scene, size),
    )


def _require_room(size: Size) -> None:
    if size.width * size.height > MOST_PIXELS:
        raise ImageTooLargeError(
            f"Enlarging would make {size.width}×{size.height} pixels.", hint="Choose a smaller factor or picture."
        )


def _mask(mask: Alpha | None, size: Size) -> Alpha | None:
    return None if mask is None else resize(mask, size).clip(0, 1)


def _picture(pixels: Pixels | None, size: Size) -> Pixels | None:
    return None if pixels is None else resize(np.ascontiguousarray(pixels), size)
