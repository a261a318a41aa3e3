"""Stage ``cutout``: tell the subject from the background, at the resolution of the result.

The network looks at an upright view of the original around the subject, wider than the result so that it sees what
it judges; its coarse mask is carried to the result and the edge is solved there, on the pixels that will be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from facecraft.imaging import isolation, matting
from facecraft.imaging.geometry import Box, Size, Transform
from facecraft.imaging.image import Alpha, Image, Pixels
from facecraft.imaging.levels import spread
from facecraft.imaging.matting import Refine
from facecraft.imaging.resample import glance, warp, warp_mask
from facecraft.models.hub import ModelHub
from facecraft.options import Options
from facecraft.pipelines.stage import Context, stage

VIEW_SIDE = 640
"""Longer side of the view of a whole photo that the network looks at, in pixels."""
FRAME_VIEW_SIDE = 512
"""The same for a framed portrait, in which the person is large: twice what the starter network sees."""
WORK_SIDE = 1000
"""Longer side at which the edge of a whole photo is solved before it is carried to full size."""
NECK = 0.016
"""What hangs on the person by less than twice this fraction of the longer side is not taken for a part of them."""
AROUND = 0.25
"""How much the view is wider than the result on each side, as a fraction of the result's side."""


class CutoutOptions(Options):
    """How the subject is told from the background."""

    segmenter: str = "auto"
    """Model that finds the subject: a catalogue id, or auto for the best installed one."""
    refine: Refine = Refine.FINE
    """How the edge is solved: fine (hair by closed-form matting), fast, or none (the network's mask as it is)."""


@dataclass(frozen=True, slots=True)
class _View:
    """What the network looks at: a picture and the map from the original to it."""

    image: Image
    transform: Transform
    subject: Box | None
    """Around the chosen faces, in the view; None: everybody is meant."""
    share: Alpha | None
    """How much of each pixel belongs to the chosen people rather than to others; None when nobody else is there."""


def _quarter_turns(degrees: float) -> float:
    return -90.0 * round(degrees / 90.0)


_SEGMENTED = 0.25
_SOLVED = 0.6
"""How much of the work on a large photo is done then."""


def _around_frame(context: Context, size: Size) -> tuple[Transform, Size]:
    """The view of a framed portrait: the frame itself and a margin, at most VIEW_SIDE long."""
    wide, high = size.width * (1 + 2 * AROUND), size.height * (1 + 2 * AROUND)
    scale = min(1.0, FRAME_VIEW_SIDE / max(wide, high))
    shift = Transform.similarity(
        scale=scale,
        degrees=0.0,
        source=(-size.width * AROUND, -size.height * AROUND),
        target=(0.0, 0.0),
    )
    return context.transform.then(shift), Size(max(1, round(wide * scale)), max(1, round(high * scale)))


def _whole(context: Context) -> tuple[Transform, Size]:
    """The view of a whole photo: all of it, turned by quarters so that the faces stand upright."""
    image = context.original
    turn = _quarter_turns(context.faces[context.chosen[0]].roll) if context.chosen else 0.0
    scale = min(1.0, VIEW_SIDE / max(image.width, image.height))
    center = ((image.width - 1) / 2, (image.height - 1) / 2)
    wide, high = (image.height, image.width) if round(turn / 90) % 2 else (image.width, image.height)
    size = Size(max(1, round(wide * scale)), max(1, round(high * scale)))
    target = ((size.width - 1) / 2, (size.height - 1) / 2)
    return Transform.similarity(scale=scale, degrees=turn, source=center, target=target), size


def _view(context: Context) -> _View:
    transform, size = _whole(context) if context.size is None else _around_frame(context, context.size)
    pixels = spread(glance(context.original.rgb, transform, size))
    mapped = [transform.box(face.box) for face in context.faces]
    boxes = [mapped[index] for index in context.chosen]
    others = [box for index, box in enumerate(mapped) if index not in context.chosen and box.clipped(size).area > 0]
    subject = None
    if boxes and context.size is not None:  # of a whole photo everybody is kept, found faces or not
        subject = Box(
            min(box.x1 for box in boxes),
            min(box.y1 for box in boxes),
            max(box.x2 for box in boxes),
            max(box.y2 for box in boxes),
        ).clipped(size)
    return _View(Image(pixels), transform, subject, isolation.share(boxes, others, size) if boxes and others else None)


def _solve(pixels: Pixels, coarse: Alpha, refine: Refine) -> Alpha:
    """Solve the edge on ``pixels``, through a smaller picture when they are many."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest <= WORK_SIDE * 1.25:
        return matting.refine(pixels, coarse, quality=refine)
    scale = WORK_SIDE / longest
    size = Size(max(1, round(width * scale)), max(1, round(height * scale)))
    shrink = Transform(np.array([[scale, 0.0, (scale - 1) / 2], [0.0, scale, (scale - 1) / 2]]))
    small = warp(pixels, shrink, size).pixels
    solved = matting.refine(small, warp_mask(coarse, shrink, size), quality=refine)
    return matting.upsample(solved, small, pixels)


@stage("cutout", CutoutOptions, needs=("matting",), weight=6.0)
def cutout(context: Context, options: CutoutOptions, models: ModelHub) -> Context:
    """Sets ``alpha`` and frees the subject's colours from the background."""
    segmenter = models.segmenter(options.segmenter)
    view = _view(context)
    mask = segmenter.segment(view.image, view.subject, quick=options.refine is Refine.FAST)
    context.watch.tell("cutout", _SEGMENTED)
    pixels = context.canvas
    size = context.canvas_size
    to_canvas = view.transform.inverse().then(context.transform)
    seen = mask.values if view.share is None else mask.values * view.share
    coarse = glance(seen, to_canvas, size)
    alpha = _solve(pixels, coarse, options.refine)
    context.watch.tell("cutout", _SOLVED)
    if view.subject is not None:
        # Once the edge is solved, what is not joined to the person is seen not to be theirs.
        alpha = matting.keep_touching(alpha, to_canvas.box(view.subject), neck=round(NECK * max(alpha.shape)))
    if context.coverage is not None:
        alpha = alpha * context.coverage
    free = matting.foreground(pixels, alpha)
    if not context.faces:
        context = context.warn("No face was found: what was cut out may not be a person.")
    return replace(
        context.used("matting", segmenter.model_id),
        pixels=free,
        alpha=alpha,
        scene=pixels,
    )
