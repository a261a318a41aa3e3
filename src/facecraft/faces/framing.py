"""From a face to the crop of a portrait: where the head is, how large and how tilted, and the map that frames it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecraft.faces import landmarks as marks
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Size, Transform

HEAD_TO_WIDTH = 0.8
"""Width of a head with hair and ears as a fraction of its height; makes the limiting side of narrow frames."""
EYE_LEVEL = 0.5
"""The eyes lie half way between the top of the hair and the chin."""
ROOM_ABOVE = 0.42
"""The share of the free height that lies above the hair; the rest belongs to neck and shoulders."""
SIDEWAYS = 0.58
"""How far the centre lies from the point between the eyes (0) towards the middle of the outline (1). The two part when
a person looks aside; detectors put the middle of a face anywhere between them."""


@dataclass(frozen=True, slots=True)
class HeadGeometry:
    """A head in picture pixels, measured so that it changes little when the person turns or nods."""

    center: tuple[float, float]
    """The point between the eyes, moved sideways to the middle of the face: what stands on the vertical axis."""
    size: float
    """Height from the chin to the top of the hair, as if the person looked straight ahead."""
    roll: float
    """Degrees by which the eye line is turned, clockwise on screen, in -180..180."""


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else np.array([1.0, 0.0])


def head_geometry(face: Face) -> HeadGeometry:
    """Measure the head of ``face``: from its 468-point mesh or 68 points when it has them, else from its five landmarks.

    The factors were measured on portraits so that all three agree: 1.36 of forehead to chin in three dimensions (the
    geometric mean of it and of 1.45 of eyes to chin, because a fringe hides the forehead), 1.9 of eyes to chin, 3.72 of the geometric mean of eye distance and eyes to mouth (turning shortens the one, nodding the
    other). When the head turns, the nose moves 0.75 as far to one side as the middle of the head to the other.
    """
    left, right = face.landmarks[0], face.landmarks[1]
    across = _unit(right - left)
    down = np.array([-across[1], across[0]])
    eyes = (left + right) / 2
    if face.dense is not None and face.dense.scheme == "mesh468":
        p = face.dense.points
        shift = SIDEWAYS * _offset(p[list(marks.MESH_OVAL), :2], eyes, across)
        between = (p[list(marks.MESH_LEFT_EYE)].mean(axis=0) + p[list(marks.MESH_RIGHT_EYE)].mean(axis=0)) / 2
        tall = float(np.linalg.norm(p[marks.MESH_CHIN] - p[marks.MESH_FOREHEAD]))
        low = float(np.linalg.norm(p[marks.MESH_CHIN] - between))
        size = 1.36 * math.sqrt(tall * 1.45 * low)
    elif face.dense is not None and face.dense.scheme == "ibug68":
        p = face.dense.points[:, :2]
        shift = SIDEWAYS * _offset(p, eyes, across)
        size = 1.9 * float((p[marks.IBUG_CHIN] - eyes) @ down)
    else:
        mouth = (face.landmarks[3] + face.landmarks[4]) / 2
        shift = -0.75 * float((face.landmarks[2] - eyes) @ across)
        size = 3.72 * math.sqrt(float(np.linalg.norm(right - left)) * float(np.linalg.norm(mouth - eyes)))
    center = eyes + shift * across
    roll = math.degrees(math.atan2(float(across[1]), float(across[0])))
    return HeadGeometry((float(center[0]), float(center[1])), size, roll)


def _offset(outline: NDArray[np.float64], eyes: NDArray[np.float64], across: NDArray[np.float64]) -> float:
    """How far the middle of the outline lies from the eyes along ``across``, in pixels."""
    along = outline @ across
    return (float(along.min()) + float(along.max())) / 2 - float(eyes @ across)


def frame(face: Face, size: Size, margin: float = 0.3, *, straighten: bool = True) -> Transform:
    """Return the map from picture pixels to a portrait of ``size``.

    ``margin`` (0..1) is the free space on each side of the head as a fraction of its height: 0 fills the frame, 0.3
    leaves the head 62.5 % of the height of a square, 1 leaves it a third. A frame narrower than a head and its
    margin is limited by its width. The eyes become level (unless ``straighten`` is off), the head stands on the
    vertical axis, and nothing is clamped: what lies beyond the picture is for the caller to fill.
    Raises ValueError for a margin outside 0..1 or a face without extent.
    """
    if not 0.0 <= margin <= 1.0:
        raise ValueError(f"a margin lies in 0..1, not {margin}")
    head = head_geometry(face)
    if not head.size > 0:
        raise ValueError("the landmarks of the face coincide")
    room = 1.0 + 2.0 * margin
    tall = min(size.height / room, size.width / (HEAD_TO_WIDTH * room))
    # The pixel centre convention: the axis of a frame of W pixels is (W - 1) / 2.
    top = ROOM_ABOVE * (size.height - tall)
    target = ((size.width - 1) / 2, top + EYE_LEVEL * tall)
    turn = -head.roll if straighten else 0.0
    return Transform.similarity(scale=tall / head.size, degrees=turn, source=head.center, target=target)


def frame_together(faces: Sequence[Face], size: Size, margin: float = 0.3, *, straighten: bool = True) -> Transform:
    """Return the map from picture pixels to a portrait of ``size`` that shows all of ``faces``; see :func:`frame`.

    The margin is that of a head of middle size, and the turn is the mean of the tilts. Raises ValueError without faces.
    """
    if not faces:
        raise ValueError("somebody must be in the picture")
    if len(faces) == 1:
        return frame(faces[0], size, margin, straighten=straighten)
    heads = [head_geometry(face) for face in faces]
    tilts = np.radians([head.roll for head in heads])
    turn = -math.degrees(math.atan2(float(np.sin(tilts).sum()), float(np.cos(tilts).sum()))) if straighten else 0.0
    level = Transform.similarity(scale=1.0, degrees=turn, source=(0.0, 0.0), target=(0.0, 0.0))
    centers = level(np.array([head.center for head in heads]))
    sizes = np.array([head.size for head in heads])
    reach = np.column_stack([HEAD_TO_WIDTH / 2 * sizes, EYE_LEVEL * sizes])
    low, high = (centers - reach).min(axis=0), (centers + reach).max(axis=0)
    wide, tall = (float(side) for side in high - low)
    room = 2 * margin * float(np.median(sizes))
    scale = min(size.width / (wide + room), size.height / (tall + room))
    middle = level.inverse()(((low + high) / 2)[None])[0]
    top = ROOM_ABOVE * (size.height - scale * tall)
    target = ((size.width - 1) / 2, top + scale * tall / 2)
    return Transform.similarity(scale=scale, degrees=turn, source=(float(middle[0]), float(middle[1])), target=target)
