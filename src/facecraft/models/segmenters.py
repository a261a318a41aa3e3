"""Networks that tell people from the background.

`SelfieSegmenter`: MediaPipe selfie segmentation (google-ai-edge/mediapipe, model card "Selfie Segmentation", 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecraft.imaging.geometry import Box, Size
from facecraft.imaging.image import Alpha, Image, Mask, Pixels
from facecraft.imaging.matting import keep_touching
from facecraft.imaging.resample import resize
from facecraft.inference.session import Session

_Logits: TypeAlias = NDArray[np.float32]

_WHOLE, _CLOSE = 256, 384
"""Longer sides of the grids on which passes over the whole picture and over crops are averaged.

The networks see 256 pixels; finer edges are left to refinement.
"""
_SMALLEST = 144
"""A reduced copy of the picture is not made smaller than this: no network takes less."""
_SLACK = 0.9
"""A crop may be this part of the network's input size before it is taken from a finer copy of the picture."""
_CERTAIN = 0.01
"""Probabilities are kept this far from 0 and 1, so that one overconfident pass cannot outvote the others."""
_RAMP = 0.125
"""The part of a crop along which its weight fades in: crops see badly at borders that are not the picture's."""
_TRACE = 0.25
"""What the first look must see of a person, a raised hand perhaps, for the closer look to include it."""
_ROOM = 1.2
"""The box around the people is enlarged by this before it is looked at closely."""
_HEAD = (1.6, 0.9, 2.3)
"""Head and shoulders: half width in face widths, room above the face and reach below its top in face heights."""
_BODY = (3.0, 1.2, 6.0)
"""The same for the whole person, for when the first look finds nobody at the face."""
_DISAGREEMENT = 0.15
"""Mean difference of the two networks above which the one that spills over the frame less is believed."""


@dataclass(frozen=True, slots=True)
class _Pass:
    """One look at one crop (whole pixels of the picture)."""

    crop: Box
    mirrored: bool = False


class SelfieSegmenter:
    """MediaPipe selfie segmentation over the whole picture and crops around the subject, averaged.

    ``session`` is the square network (1×256×256×3), ``landscape`` the wide one (1×144×256×3); both take RGB in 0..1,
    resized without keeping the aspect, and answer with a probability. They err in different places, so that their mean
    is better than either. Nine to eleven runs for one picture.
    """

    def __init__(self, session: Session, landscape: Session | None = None) -> None:
        self._sessions = (session,) if landscape is None else (session, landscape)

    def segment(self, image: Image, subject: Box | None = None, *, quick: bool = False) -> Mask:
        """Return the soft probability of being a person, of the size of ``image``.

        ``subject`` is the face box of the chosen person (pixels): this person is then looked at more closely, and
        people who do not touch this one are left out. Without it all people stay. ``quick`` makes four runs instead of
        nine to eleven. Raises InferenceError.
        """
        frame = Box(0, 0, image.width, image.height)
        size = Size(image.width, image.height)
        view = _View(image.rgb)
        both = [_Pass(frame)] if quick else [_Pass(frame), _Pass(frame, mirrored=True)]
        looks = self._look(view, [both] * len(self._sessions))
        trust = _trust([_probability(np.mean(answers, axis=0, dtype=np.float32)) for answers in looks])
        whole = _Canvas(frame, size, _WHOLE)
        for answers, weight in zip(looks, trust, strict=True):
            for logits in answers:
                whole.add(logits, frame, weight)
        rough = whole.probability()
        if subject is not None:
            rough = keep_touching(rough, _scaled(subject, size, rough.shape))
        region = _region(rough, size, subject)
        if region is None:
            return Mask(resize(rough, size).clip(0, 1))
        close = _Canvas(region, size, _CLOSE)
        close.add(whole.cut(region), region, 2 * sum(trust), fade=False)
        head = None if subject is None else _whole_pixels(_around(subject, _HEAD), size)
        if quick:
            plans = [[_Pass(region if head is None else head)], [_Pass(region, mirrored=True)]]
        else:
            plans = [_square_passes(region, head), _wide_passes(region, head)]
        plans = plans[: len(self._sessions)]
        for plan, answers, weight in zip(plans, self._look(view, plans), trust, strict=True):
            for each, logits in zip(plan, answers, strict=True):
                close.add(logits, each.crop, weight)
        return Mask(_joined(rough, close.probability(), region, size, subject))

    def _look(self, view: _View, plans: Sequence[Sequence[_Pass]]) -> list[list[_Logits]]:
        """Run every network over its passes; logits of the size a network gives.

        One network after the other, each with all cores: side by side they would wait for each other's Python.
        """
        return [_run(session, view, plan) for session, plan in zip(self._sessions, plans, strict=True)]


class _View:
    """The picture and its halves, so that large crops need not be averaged from all pixels again and again."""

    def __init__(self, pixels: Pixels) -> None:
        self._levels = [pixels]
        while min(self._levels[-1].shape[:2]) >= 2 * _SMALLEST:
            height, width = (side // 2 for side in self._levels[-1].shape[:2])
            # Exact halves are averaged much faster than any other ratio; an odd last row or column is left out.
            self._levels.append(resize(self._levels[-1][: 2 * height, : 2 * width], Size(width, height)))

    def crop(self, box: Box, size: Size) -> Pixels:
        """The pixels in ``box`` at ``size``, averaged where they shrink."""
        room = min(box.width / size.width, box.height / size.height) / _SLACK
        level = min(max(0, int(np.log2(max(room, 1.0)))), len(self._levels) - 1)
        source, scale = self._levels[level], 0.5**level
        height, width = source.shape[:2]
        x1, y1 = min(round(box.x1 * scale), width - 1), min(round(box.y1 * scale), height - 1)
        x2, y2 = max(round(box.x2 * scale), x1 + 1), max(round(box.y2 * scale), y1 + 1)
        part = source[y1:y2, x1:x2]
        # Shrink first, enlarge afterwards: a crop may be narrower and taller than what the network takes.
        part = resize(part, Size(min(part.shape[1], size.width), min(part.shape[0], size.height)))
        return resize(part, size)


class _Canvas:
    """A weighted mean of logits over ``region`` (whole pixels of a picture of ``size``)."""

    def __init__(self, region: Box, size: Size, longest: int) -> None:
        self._region, self._size = region, size
        scale = min(1.0, longest / max(region.width, region.height))
        self._fx = max(1, round(region.width * scale)) / region.width
        self._fy = max(1, round(region.height * scale)) / region.height
        shape = (round(region.height * self._fy), round(region.width * self._fx))
        self._sum = np.zeros(shape, np.float32)
        self._weight = np.zeros(shape, np.float32)

    def _place(self, box: Box) -> tuple[slice, slice]:
        height, width = self._sum.shape
        x1 = min(round((box.x1 - self._region.x1) * self._fx), width - 1)
        y1 = min(round((box.y1 - self._region.y1) * self._fy), height - 1)
        x2 = max(min(round((box.x2 - self._region.x1) * self._fx), width), x1 + 1)
        y2 = max(min(round((box.y2 - self._region.y1) * self._fy), height), y1 + 1)
        return slice(y1, y2), slice(x1, x2)

    def add(self, logits: _Logits, crop: Box, weight: float, *, fade: bool = True) -> None:
        """Take one pass in. With ``fade`` its weight falls towards those sides that are not the picture's."""
        rows, columns = self._place(crop)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        across = np.full(width, weight, np.float32)
        down = np.ones(height, np.float32)
        if fade:
            across *= _ramp(width, before=crop.x1 > 0, after=crop.x2 < self._size.width)
            down *= _ramp(height, before=crop.y1 > 0, after=crop.y2 < self._size.height)
        share = down[:, None] * across[None, :]
        self._sum[rows, columns] += share * resize(logits, Size(width, height))
        self._weight[rows, columns] += share

    def cut(self, box: Box) -> _Logits:
        """The mean logits in ``box``."""
        rows, columns = self._place(box)
        return np.asarray(self._sum[rows, columns] / np.maximum(self._weight[rows, columns], 1e-6), np.float32)

    def probability(self) -> Alpha:
        """The mean as a probability in 0..1 over the whole region."""
        mean = np.asarray(self._sum / np.maximum(self._weight, 1e-6), np.float32)
        return _probability(mean)


def _run(session: Session, view: _View, plan: Sequence[_Pass]) -> list[_Logits]:
    """The answers of one network to ``plan``, each as large as the network gives it."""
    spec = session.inputs[0]
    _, height, width, _ = spec.shape
    size = Size(width or 256, height or 256)
    seen: dict[Box, Pixels] = {}
    answers = []
    for look in plan:
        if look.crop not in seen:
            seen[look.crop] = view.crop(look.crop, size)
        pixels = seen[look.crop]
        tensor = np.multiply(pixels[None, :, ::-1] if look.mirrored else pixels[None], np.float32(1 / 255))
        p = session.run({spec.name: np.ascontiguousarray(tensor)})[session.outputs[0].name][0, :, :, 0]
        p = np.asarray(p[:, ::-1] if look.mirrored else p, np.float32).clip(_CERTAIN, 1 - _CERTAIN)
        answers.append(np.ascontiguousarray(np.log(p / (1 - p))))
    return answers


def _probability(logits: _Logits) -> Alpha:
    """Undo the logits and their limits, so that what all passes are sure of is exactly 0 or 1."""
    p = 1 / (1 + np.exp(-logits))
    return np.asarray(((p - _CERTAIN * 1.01) / (1 - 2.02 * _CERTAIN)).clip(0, 1), np.float32)


def _trust(views: Sequence[Alpha]) -> list[float]:
    """How far to believe each network, given what it sees in the whole picture; the weights add up to their number.

    On some backgrounds one network calls everything a person. People rarely fill the upper half of the frame's
    border, so the network that claims less of it is right when the two disagree about much of the picture.
    """
    if len(views) == 1:
        return [1.0]
    first, second = views[0], resize(views[1], Size(views[0].shape[1], views[0].shape[0]))
    if float(np.abs(first - second).mean()) < _DISAGREEMENT:
        return [1.0, 1.0]
    spills = []
    for p in (first, second):
        upper = p[: max(1, p.shape[0] // 2)]
        spills.append(float(np.concatenate([upper[0], upper[:, 0], upper[:, -1]]).mean()))
    weights = [(1.02 - spill) ** 4 for spill in spills]
    return [2 * w / sum(weights) for w in weights]


def _ramp(length: int, *, before: bool, after: bool) -> NDArray[np.float32]:
    out = np.ones(length, np.float32)
    rise = max(1, round(length * _RAMP))
    steps = ((np.arange(length) + 0.5) / rise).clip(0, 1).astype(np.float32)
    if before:
        out *= steps
    if after:
        out *= steps[::-1]
    return out


def _around(face: Box, room: tuple[float, float, float]) -> Box:
    half, above, below = room
    x = face.center[0]
    return Box(
        x - half * face.width, face.y1 - above * face.height, x + half * face.width, face.y1 + below * face.height
    )


def _whole_pixels(box: Box, size: Size) -> Box | None:
    """``box`` in whole pixels inside the picture; None when next to nothing of it lies there."""
    inside = box.clipped(size)
    out = Box(round(inside.x1), round(inside.y1), round(inside.x2), round(inside.y2))
    return out if out.width >= 2 and out.height >= 2 else None


def _scaled(box: Box, size: Size, shape: tuple[int, ...]) -> Box:
    fx, fy = shape[1] / size.width, shape[0] / size.height
    return Box(box.x1 * fx, box.y1 * fy, box.x2 * fx, box.y2 * fy)


def _region(rough: Alpha, size: Size, subject: Box | None) -> Box | None:
    """The box to look at closely: the people found so far, or where the body of ``subject`` must be."""
    rows, columns = np.flatnonzero((rough > _TRACE).any(axis=1)), np.flatnonzero((rough > _TRACE).any(axis=0))
    if len(rows) == 0:
        return None if subject is None else _whole_pixels(_around(subject, _BODY), size)
    found = Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    box = _scaled(found, Size(rough.shape[1], rough.shape[0]), (size.height, size.width)).scaled(_ROOM)
    if subject is not None:
        head = _around(subject, _HEAD)
        box = Box(min(box.x1, head.x1), min(box.y1, head.y1), max(box.x2, head.x2), max(box.y2, head.y2))
    return _whole_pixels(box, size)


def _part(box: Box, x1: float, y1: float, x2: float, y2: float) -> Box:
    """The part of ``box`` between these fractions, in whole pixels, at least two of them."""
    left, top = box.x1 + round(x1 * box.width), box.y1 + round(y1 * box.height)
    right, bottom = box.x1 + round(x2 * box.width), box.y1 + round(y2 * box.height)
    return Box(
        left, top, min(max(right, left + 2), max(box.x2, left + 1)), min(max(bottom, top + 2), max(box.y2, top + 1))
    )


def _square_passes(region: Box, head: Box | None) -> list[_Pass]:
    if head is not None:
        return [_Pass(region), _Pass(head)]
    # Nobody is chosen: look along the whole upper part, where heads and raised hands are. Bodies without a head
    # are not recognised, so that the lower part alone would do harm.
    left, right = _part(region, 0, 0, 0.6, 1), _part(region, 0.4, 0, 1, 1)
    corners = _part(region, 0, 0, 0.55, 0.6), _part(region, 0.45, 0, 1, 0.6)
    return [_Pass(left), _Pass(right, mirrored=True), *(_Pass(each) for each in corners)]


def _wide_passes(region: Box, head: Box | None) -> list[_Pass]:
    top = _Pass(_part(region, 0, 0, 1, 0.6))
    return [_Pass(region, mirrored=True), top, _Pass(region if head is None else head)]


def _joined(rough: Alpha, close: Alpha, region: Box, size: Size, subject: Box | None) -> Alpha:
    """The close view inside the rough one, at the size of the picture."""
    out = resize(rough, size).clip(0, 1)
    if subject is not None:
        inner = Box(subject.x1 - region.x1, subject.y1 - region.y1, subject.x2 - region.x1, subject.y2 - region.y1)
        close = keep_touching(close, _scaled(inner, Size(round(region.width), round(region.height)), close.shape))
    rows, columns = slice(int(region.y1), int(region.y2)), slice(int(region.x1), int(region.x2))
    out[rows, columns] = resize(close, Size(int(region.width), int(region.height))).clip(0, 1)
    return out
