"""Which of several faces is meant. Never silent: the policy is an option and its failures are named errors.

Faces stand in one order everywhere (:func:`in_reading_order`): from left to right by the centre of the box, and from
top to bottom where two centres share a column. Index 0 is the leftmost face.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

from facecraft.errors import AmbiguousFaceError, FaceIndexError, NoFaceFoundError
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Size


class FacePolicy(StrEnum):
    """How to choose among several faces."""

    LARGEST = "largest"
    """The face with the largest box that is inside the picture; of equals, the more central."""
    CENTRAL = "central"
    """The face whose box centre is nearest to the middle of the picture."""
    INDEX = "index"
    """The face at a given index, counted from the left, from 0."""
    ALL = "all"
    """Every face, from left to right."""
    ONLY = "only"
    """The one face; several are an error."""


def in_reading_order(faces: Sequence[Face]) -> tuple[Face, ...]:
    """Return ``faces`` from left to right by box centre, then from top to bottom, then by score."""
    return tuple(sorted(faces, key=lambda face: (face.box.center[0], face.box.center[1], -face.score)))


def _off_center(face: Face, size: Size) -> float:
    x, y = face.box.center
    return math.hypot(x - size.width / 2, y - size.height / 2)


def choose(faces: Sequence[Face], policy: FacePolicy, index: int, size: Size) -> tuple[int, ...]:
    """Return the positions in ``faces`` that ``policy`` picks; ``size`` is that of the picture.

    ``index`` counts in the order of ``faces`` and is read for INDEX only. Raises NoFaceFoundError when there is no
    face, FaceIndexError when ``index`` is out of range, AmbiguousFaceError when ONLY meets several.
    """
    if not faces:
        raise NoFaceFoundError
    everybody = range(len(faces))
    if policy is FacePolicy.ALL:
        return tuple(everybody)
    if policy is FacePolicy.INDEX:
        if not 0 <= index < len(faces):
            last = len(faces) - 1
            raise FaceIndexError(
                f"There is no face {index}: the picture shows {len(faces)}.",
                hint=f"Choose an index from 0 to {last}; faces are counted from the left." if last else "Use index 0.",
            )
        return (index,)
    if policy is FacePolicy.ONLY and len(faces) > 1:
        raise AmbiguousFaceError(f"The picture shows {len(faces)} faces and the policy allows only one.")
    if policy is FacePolicy.CENTRAL:
        return (min(everybody, key=lambda i: (_off_center(faces[i], size), -faces[i].box.area)),)
    return (max(everybody, key=lambda i: (faces[i].box.clipped(size).area, -_off_center(faces[i], size))),)
