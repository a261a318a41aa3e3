"""Stage ``restore``: give a blurred or damaged face its detail back, and see that the person stays the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from facecraft.errors import LicenseNotAcceptedError, ModelNotInstalledError, RuntimeMissingError
from facecraft.imaging.changes import lay_change
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Image, Pixels
from facecraft.imaging.resample import warp
from facecraft.models.hub import ModelHub, NamedRestorer
from facecraft.models.hub.hub import AUTO
from facecraft.options import Fraction, Options
from facecraft.pipelines.identity import Identity, IdentityCheck, IdentityGuard, remark
from facecraft.pipelines.occlusion import RESTORED, Cover, Occlusion
from facecraft.pipelines.redraw import COLOR_MATCH, FacePart, moved
from facecraft.pipelines.stage import Context, stage

REQUIRED = "any"
"""The best installed restorer, and an error where there is none."""


class RestoreFaces(StrEnum):
    """Which faces are restored."""

    CHOSEN = "chosen"
    ALL = "all"


class RestoreOptions(Options):
    """How faces are restored."""

    restore: bool = True
    """Restore the face when a restoration model is installed; without one the stage is skipped and says so."""
    restorer: str = AUTO
    """Model that restores faces: a catalogue id, auto for the best installed one (skipped without one) or any for the
    same, but an error without one."""
    restore_faces: RestoreFaces = RestoreFaces.CHOSEN
    """Which faces are restored: chosen (those that the face policy means) or all."""
    fidelity: Fraction = 0.7
    """How close a network that can be told so (CodeFormer) stays to the original: 0 restores most, 1 changes least.
    Other networks know only restore_strength."""
    restore_strength: Fraction = 0.8
    """How strongly the restored face is laid over the original: 0 not at all, 1 completely."""
    restore_occlusion: Occlusion = Occlusion.AUTO
    """Whether hair, hats and hands in front of a face stay as they are: auto, where a model that finds them is installed
    (face_parsing, face_occlusion), or off: they are redrawn with the face."""
    identity: IdentityGuard = IdentityGuard.NORMAL
    """How alike the person must stay: off, soft, normal or strict. When a recogniser (dlib, SFace or ArcFace, the best
    installed) finds the face less alike than that, the strength is reduced step by step and the original kept at last.
    Recognisers were trained on adults and tell children apart less well: for children's faces the number is a hint, not
    a proof; use soft together with a low restore_strength, and look. The same holds for faces that were hardly
    recognisable before."""


@stage("restore", RestoreOptions, weight=4.0)
def restore(context: Context, options: RestoreOptions, models: ModelHub) -> Context:
    """Restores the chosen faces, or all, wherever the picture being made shows them.

    Crops are cut from the original's pixels, so that enlarging first loses nothing (from the picture being made when faces
    in it were swapped). With ``restorer=auto`` a missing model skips the stage; a model asked for must be there.
    """
    if not options.restore:
        return context.skip("restore", "switched off")
    try:
        restorer = models.restorer(AUTO if options.restorer == REQUIRED else options.restorer)
    except (ModelNotInstalledError, LicenseNotAcceptedError, RuntimeMissingError) as error:
        if options.restorer != AUTO:
            raise
        return context.skip("restore", f"{error.message} {error.hint or ''}".strip())
    wanted = range(len(context.faces)) if options.restore_faces is RestoreFaces.ALL else context.chosen
    if not wanted:
        return context.skip("restore", "no face was found")
    canvas = np.array(context.canvas)
    found: list[Identity] = []
    check = IdentityCheck.open(models, options.identity)
    work = _Restoring(
        restorer, check, Cover.open(models, options.restore_occlusion), options.fidelity, options.restore_strength
    )
    for done, index in enumerate(wanted):
        context.watch.tell("restore", done / len(wanted), f"face {done + 1} of {len(wanted)}")
        found.append(_restore_one(context, index, canvas, work))
    context = work.cover.noted(context.used("face_restoration", restorer.model_id))
    if check.embedder is not None:
        context = context.used("identity", check.embedder.model_id)
    for text in filter(None, map(remark, found)):
        context = context.warn(text)
    return replace(context, pixels=canvas, identity=(*context.identity, *found))


@dataclass(frozen=True, slots=True)
class _Restoring:
    """The networks of one run, and how far they go."""

    restorer: NamedRestorer
    check: IdentityCheck
    cover: Cover
    fidelity: float
    strength: float


def _restore_one(context: Context, index: int, canvas: Pixels, work: _Restoring) -> Identity:
    """Restore one face and lay it into ``canvas``."""
    swapped = "face_swap" in context.models
    source = Image(canvas.copy()) if swapped else context.original
    face = moved(context.faces[index], context.transform) if swapped else context.faces[index]
    part = FacePart.cut(source, face, work.restorer.template, work.restorer.size)
    restored = work.restorer.restore(part.crop.pixels, work.fidelity)
    mask = work.cover.mask(source, face, part.crop, RESTORED)
    asked = Identity.asked("restore", index, work.strength)
    identity = work.check.settle(asked, part.before, part.face, lambda strength: part.drawn(restored, mask, strength))
    if identity.strength > 0:
        before, to_canvas = part.crop.pixels, part.crop.inverse
        if not swapped and context.pixels is not None:
            # The picture being made is no longer the original: the change is that against what it shows there.
            to_canvas = to_canvas.then(context.transform)
            before = warp(canvas, to_canvas.inverse(), Size(part.crop.size, part.crop.size)).pixels
        weight = mask * np.float32(identity.strength)
        lay_change(canvas, before, restored, to_canvas, weight, match_color=COLOR_MATCH, out=canvas)
    return identity
