"""Stage ``restore``: give a blurred or damaged face its detail back, where a restorer is installed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from facecraft.errors import LicenseNotAcceptedError, ModelNotInstalledError, RuntimeMissingError
from facecraft.faces.alignment import FFHQ_512, align
from facecraft.imaging import compositing
from facecraft.models.hub import ModelHub
from facecraft.options import Fraction, Options
from facecraft.pipelines.stage import Context, stage

CROP_SIDE = 512
"""Side of the aligned crop that restorers work on, in pixels."""
SEAM = 0.15
"""Width of the soft border with which a restored crop is laid back, as a fraction of its side."""
COLOR_MATCH = 0.5
"""How much a restored crop takes over the colours of the original: networks drift towards their training set."""


class RestoreOptions(Options):
    """How faces are restored."""

    restore: bool = True
    """Restore the face when a restoration model is installed; without one the stage is skipped and says so."""
    restorer: str = "auto"
    """Model that restores faces: a catalogue id, or auto for the best installed one."""
    fidelity: Fraction = 0.7
    """How close restoration stays to the original: 0 restores most, 1 changes least."""


@stage("restore", RestoreOptions, weight=4.0)
def restore(context: Context, options: RestoreOptions, models: ModelHub) -> Context:
    """Restores the chosen faces in the coordinates of the original.

    With ``restorer=auto`` a missing model skips the stage; a model asked for by name must be there.
    """
    if not options.restore:
        return context.skip("restore", "switched off")
    try:
        restorer = models.restorer(options.restorer)
    except (ModelNotInstalledError, LicenseNotAcceptedError, RuntimeMissingError) as error:
        if options.restorer != "auto":
            raise
        return context.skip("restore", f"{error.message} {error.hint or ''}".strip())
    pixels = np.array(context.canvas)
    mask = compositing.feather(np.ones((CROP_SIDE, CROP_SIDE), np.float32), CROP_SIDE * SEAM)
    for index in context.chosen:
        context.watch.cancel.check()
        crop = align(context.original, context.faces[index], FFHQ_512, CROP_SIDE)
        restored = restorer.restore(crop.pixels, options.fidelity)
        compositing.paste_back(pixels, restored, crop.inverse, mask, match_color=COLOR_MATCH, out=pixels)
    return replace(context.used("face_restoration", restorer.model_id), pixels=pixels)
