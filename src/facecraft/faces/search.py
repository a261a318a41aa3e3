"""Finding every face of a picture with detectors that see only one size and one direction at a time.

A detector reduces the picture to its own small input, so it misses faces that fill the frame, faces that are small in
a large picture, and faces that do not stand upright. The search shows it *views* of the picture (the whole, the whole
with room around it, tiles, quarter turns), maps what it finds back, and keeps one face of each group. Views
are tried in the order of cost, and only while they can still add something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from facecraft.faces.face import DenseLandmarks, Face
from facecraft.faces.landmarks import five_points
from facecraft.faces.selection import in_reading_order
from facecraft.imaging.geometry import Box, Size, Transform
from facecraft.imaging.image import Image
from facecraft.imaging.resample import resize, resize_transform, warp

Detect: TypeAlias = Callable[[Image], Sequence[Face]]
"""Finds upright faces in one pass: ``FaceDetector.detect``."""
Locate: TypeAlias = Callable[[Image, Face], DenseLandmarks | None]
"""Finds dense landmarks or says that there is no face: ``FaceLandmarker.locate``."""

_OVERVIEW = 640
"""Longer side of the copy on which views of the whole picture are made."""
_DETAIL = 1920
"""Longer side of the copy on which tiles are made: a face of 1 % of it has 19 pixels."""
_PORTRAIT = 0.22
"""A face of this fraction of the shorter side is the subject of a portrait: others are looked for less closely."""
_SMALL_PICTURE = 1600
"""A portrait whose longer side is at most this is not searched for bystanders smaller than the first look shows."""
_LEAST_PIXELS = 24.0
_LEAST_PART = 0.01
_RANGE = 5.0
"""Faces smaller than these pixels, this part of the longer side, or so many times smaller than the largest face are not
looked for; they turn up all the same when a look for larger ones shows them."""
_TILE_OVERLAP = 0.25
_CLOSE_UP = 256
"""Side of the upright copy on which a finding is looked at again."""
_CLOSE_ROOM = 2.2
"""Side of the close-up in sides of the face."""
_DOUBTFUL = 0.85
"""A face with a lower score in the close-up may be upside down."""
_SETTLED = 20.0
"""Degrees by which detector and landmarker may differ about the roll."""
_CUT = 0.02
"""A box this near to an inner edge of its tile (fraction of the tile) is cut: the neighbor has the whole face."""


@dataclass(frozen=True, slots=True)
class _View:
    """A picture made from the picture, the map back, and the edges at which the picture goes on."""

    image: Image
    back: Transform
    inner: tuple[bool, bool, bool, bool] = (False, False, False, False)

    def faces(self, detect: Detect) -> list[Face]:
        return [self._mapped(face) for face in detect(self.image) if not self._is_cut(face.box)]

    def _mapped(self, face: Face) -> Face:
        return replace(face, box=_turned_box(self.back, face.box), landmarks=self.back(face.landmarks))

    def _is_cut(self, box: Box) -> bool:
        width, height = self.image.width, self.image.height
        near = (
            box.x1 < _CUT * width,
            box.y1 < _CUT * height,
            box.x2 > (1 - _CUT) * width,
            box.y2 > (1 - _CUT) * height,
        )
        return any(a and b for a, b in zip(self.inner, near, strict=True))


def _turned_box(transform: Transform, box: Box) -> Box:
    """Map the centre and keep the sides: the box around a tilted box would grow."""
    if abs(math.sin(math.radians(2 * transform.degrees))) < 1e-6:  # a quarter turn: exact
        return transform.box(box)
    (x, y), scale = transform(np.array([box.center]))[0], transform.scale
    half_w, half_h = box.width * scale / 2, box.height * scale / 2
    return Box(float(x) - half_w, float(y) - half_h, float(x) + half_w, float(y) + half_h)


def _reduced(image: Image, longer: int) -> _View:
    """A copy whose longer side is at most ``longer``: by a whole factor, which is exact and several times faster.

    At most ``factor - 1`` pixels are cut from the right and from the bottom.
    """
    factor = math.ceil(max(image.width, image.height) / longer)
    size = Size(image.width // factor, image.height // factor)
    if factor == 1 or min(size.width, size.height) == 0:
        return _View(image, Transform.identity())
    used = Size(size.width * factor, size.height * factor)
    there = resize_transform(used, size)
    return _View(Image(resize(image.rgb[: used.height, : used.width], size)), there.inverse())


def _padded(view: _View) -> _View:
    """The whole picture in the middle of a canvas twice its size."""
    height, width = view.image.height, view.image.width
    canvas = np.zeros((2 * height, 2 * width, 3), np.uint8)
    top, left = height // 2, width // 2
    canvas[top : top + height, left : left + width] = view.image.rgb
    shift = Transform(np.array([[1.0, 0.0, -left], [0.0, 1.0, -top]]))
    return _View(Image(canvas), shift.then(view.back))


def _turned(view: _View, quarter: int) -> _View:
    """The picture turned clockwise by ``quarter`` quarters."""
    height, width = view.image.height, view.image.width
    pixels = np.ascontiguousarray(np.rot90(view.image.rgb, -quarter))
    maps = {
        1: [[0.0, 1.0, 0.0], [-1.0, 0.0, height - 1]],
        2: [[-1.0, 0.0, width - 1], [0.0, -1.0, height - 1]],
        3: [[0.0, -1.0, width - 1], [1.0, 0.0, 0.0]],
    }
    return _View(Image(pixels), Transform(np.array(maps[quarter])).then(view.back))


def _tilted(view: _View, degrees: float) -> _View:
    """The picture turned clockwise by ``degrees`` on a canvas that holds it."""
    height, width = view.image.height, view.image.width
    side = math.ceil(math.hypot(width, height))
    there = Transform.similarity(
        scale=1.0, degrees=degrees, source=(width / 2, height / 2), target=(side / 2, side / 2)
    )
    return _View(Image(warp(view.image.rgb, there, Size(side, side)).pixels), there.inverse().then(view.back))


def _tile_side(longer: int, across: int) -> float:
    return longer / (across - (across - 1) * _TILE_OVERLAP)


def _tiles(view: _View, across: int) -> Iterator[_View]:
    """Square tiles of which ``across`` stand along the longer side, overlapping by a quarter."""
    height, width = view.image.height, view.image.width
    side = _tile_side(max(height, width), across)
    for y1, y2 in _spans(height, side):
        for x1, x2 in _spans(width, side):
            pixels = np.ascontiguousarray(view.image.rgb[y1:y2, x1:x2])
            shift = Transform(np.array([[1.0, 0.0, x1], [0.0, 1.0, y1]]))
            yield _View(Image(pixels), shift.then(view.back), (x1 > 0, y1 > 0, x2 < width, y2 < height))


def _spans(length: int, side: float) -> list[tuple[int, int]]:
    if length <= side * 1.05:
        return [(0, length)]
    count = math.ceil((length - side * _TILE_OVERLAP) / (side * (1 - _TILE_OVERLAP)) - 1e-6)
    starts = [round(i * (length - side) / (count - 1)) for i in range(count)]
    return [(start, min(length, round(start + side))) for start in starts]


def _between(a: float, b: float) -> float:
    """The turn from ``b`` to ``a`` in degrees, -180..180."""
    return (a - b + 180.0) % 360.0 - 180.0


def _same(a: Face, b: Face) -> bool:
    """Whether two findings are one face: boxes that overlap, or one inside the other."""
    shared = a.box.intersection(b.box).area
    return a.box.iou(b.box) > 0.3 or shared > 0.6 * min(a.box.area, b.box.area)


def _merged(faces: Sequence[Face]) -> list[Face]:
    """Keep the best of each group. Verified faces come first, then the surer ones."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda f: (f.dense is None, -f.score)):
        if not any(_same(face, other) for other in kept):
            kept.append(face)
    return kept


class _Search:
    def __init__(self, image: Image, overview: _View, detect: Sequence[Detect], locate: Locate | None) -> None:
        self._image, self._detect, self._locate = image, detect, locate
        self._overview = overview
        self.faces: list[Face] = []

    def look(self, view: _View, detectors: int | None = None) -> None:
        """Add what the first ``detectors`` (all when None) find in ``view``."""
        found = [face for detect in self._detect[:detectors] for face in view.faces(detect)]
        fresh = [face for face in _merged(found) if not any(_same(face, known) for known in self.faces)]
        self.faces = _merged([*self.faces, *filter(None, map(self._verified, fresh))])

    def _verified(self, face: Face) -> Face | None:
        """Look again at an upright close-up: the finding must show there too, and shows its direction."""
        located = self._located(face)
        if located is None:
            return None
        again = self._closest(located, located.roll)
        if again is None or again.score < _DOUBTFUL:
            # An upside-down face is often taken for an upright one, with less confidence.
            turns = [self._closest(located, located.roll + degrees) for degrees in (180.0, 90.0, -90.0)]
            again = max(filter(None, [again, *turns]), key=lambda f: f.score, default=None)
        if again is None:
            return None
        if self._locate is None or abs(_between(again.roll, located.roll)) < _SETTLED:
            return replace(again, dense=located.dense, landmarks=located.landmarks)
        return self._located(again)

    def _located(self, face: Face) -> Face | None:
        if self._locate is None:
            return face
        dense = self._locate(self._image, face)
        if dense is None or not _fits(dense, face):
            return None
        return face.with_dense(dense, five_points(dense))

    def _closest(self, face: Face, roll: float) -> Face | None:
        """What the last detector sees where ``face`` is when the picture is turned back by ``roll`` degrees."""
        side = max(face.box.width, face.box.height)
        middle = (_CLOSE_UP / 2, _CLOSE_UP / 2)
        scale = _CLOSE_UP / (side * _CLOSE_ROOM)
        there = Transform.similarity(scale=scale, degrees=-roll, source=face.box.center, target=middle)
        # The reduced copy is enough for a large face.
        source = self._overview if scale * self._overview.back.scale < 1.2 else _View(self._image, Transform.identity())
        pixels = warp(source.image.rgb, source.back.then(there), Size(_CLOSE_UP, _CLOSE_UP)).pixels
        seen = _View(Image(pixels), there.inverse()).faces(self._detect[-1])
        return max((f for f in seen if f.box.iou(face.box) > 0.3), key=lambda f: f.score, default=None)

    @property
    def largest(self) -> float:
        """The largest face as a fraction of the shorter side of the picture; 0 when there is none."""
        shorter = min(self._image.width, self._image.height)
        return max((max(f.box.width, f.box.height) for f in self.faces), default=0.0) / shorter


def _fits(dense: DenseLandmarks, face: Face) -> bool:
    """Whether the landmarks lie where the detector saw the face, at about its size."""
    low, high = dense.points[:, :2].min(axis=0), dense.points[:, :2].max(axis=0)
    extent, side = float((high - low).max()), max(face.box.width, face.box.height)
    away = float(np.hypot(*((low + high) / 2 - np.array(face.box.center))))
    return 0.4 * side < extent < 2.5 * side and away < 0.6 * side


def find_faces(
    image: Image,
    detect: Sequence[Detect],
    *,
    rotations: bool = True,
    locate: Locate | None = None,
    reach: float = 0.06,
) -> tuple[Face, ...]:
    """Find every face of ``image``, whatever its size, in pixels of ``image``, from left to right.

    All of ``detect`` see the whole picture; the first one sees the tiles as well and should be the one for small
    faces. With ``locate`` a finding counts only when the landmarker finds a face there too; the faces then carry
    dense landmarks and the five points taken from them.

    When no face stands upright and ``rotations`` is on, the picture is turned by 90, 180 and 270 degrees. A face found
    so keeps the landmark order of the upright face (the first point is the image-left eye once it is upright), and
    its ``roll`` tells the turn.

    ``reach`` is the smallest face the first detector sees, as a fraction of the longer side of what it is shown: about
    0.06 for BlazeFace at full range, 0.03 for YuNet at 640 pixels (measured). It decides how fine the tiles must be.
    """
    overview = _reduced(image, _OVERVIEW)
    search = _Search(image, overview, detect, locate)
    search.look(overview)
    if not search.faces:
        search.look(_padded(overview))
    levels = list(_levels(image, search, reach))
    if levels:
        detail = overview if max(image.width, image.height) <= _OVERVIEW else _reduced(image, _DETAIL)
        for across in levels:
            for tile in _tiles(detail, across):
                search.look(tile, 1)
    if not search.faces and rotations:
        _look_turned(search, overview)
    return in_reading_order(search.faces)


def _levels(image: Image, search: _Search, reach: float) -> Iterator[int]:
    """How many tiles to lay along the longer side, level by level, until the smallest face of interest is seen."""
    longer, shorter = max(image.width, image.height), min(image.width, image.height)
    if search.largest >= _PORTRAIT and longer <= _SMALL_PICTURE:
        return
    smallest = max(_LEAST_PIXELS, _LEAST_PART * longer, search.largest * shorter / _RANGE)
    across, seen = 2, reach * longer
    while seen > 1.3 * smallest and across <= 8:
        yield across
        seen = reach * _tile_side(longer, across)
        across *= 2


def _look_turned(search: _Search, overview: _View) -> None:
    for quarter in (1, 3, 2):
        turned = _turned(overview, quarter)
        search.look(turned)
        if not search.faces:
            search.look(_padded(turned))
    if not search.faces:
        for degrees in (45.0, -45.0):
            search.look(_tilted(overview, degrees))
