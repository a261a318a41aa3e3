"""Telling one person from the people beside them, when the network only knows "person" from "background"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facecraft.imaging.geometry import Box, Size
from facecraft.imaging.image import Alpha

_HEAD = 0.85
"""Half width of a head with hair, in face widths."""
_SHOULDERS = 1.7
"""Half width of the shoulders, in face widths."""
_NECK = 0.35
"""How far below the face box the shoulders begin, in face heights."""
_SLOPE = 0.7
"""Over how many face heights the half width grows from head to shoulders."""
_CROWN = 0.9
"""How far above the centre of the face box the head ends, in face heights."""
_SHARPNESS = 4.0
"""How quickly the share of one person gives way to that of the next."""


def _reach(face: Box, size: Size) -> Alpha:
    """How far each pixel is from the axis of the person with ``face``, in half widths of that person there."""
    x = np.arange(size.width, dtype=np.float32)[np.newaxis]
    y = np.arange(size.height, dtype=np.float32)[:, np.newaxis]
    cx, cy = face.center
    below = (y - face.y2) / face.height
    grown = np.clip((below - _NECK) / _SLOPE + 0.5, 0, 1)
    half = face.width * (_HEAD + (_SHOULDERS - _HEAD) * grown)
    sideways = np.abs(x - cx) / half
    above = np.maximum(0, (cy - y) / face.height - _CROWN)
    reach: Alpha = np.hypot(sideways, above).astype(np.float32)
    return reach


def share(faces: Sequence[Box], others: Sequence[Box], size: Size) -> Alpha:
    """Return how much each pixel of ``size`` belongs to the people of ``faces`` rather than to ``others``.

    float32 H×W in 0..1. A person is taken to be as wide as a head beside the face and as wide as shoulders below it;
    a pixel belongs to whom it is nearest in these widths (a soft Voronoi partition). All ones without ``others``.
    """
    if not others or not faces:
        return np.ones((size.height, size.width), np.float32)
    mine = np.minimum.reduce([_reach(face, size) for face in faces])
    theirs = np.minimum.reduce([_reach(face, size) for face in others])
    part: Alpha = np.clip(_SHARPNESS * (theirs - mine) + 0.5, 0, 1).astype(np.float32)
    # Nothing of the person's own head is given away, however near another face stands.
    part[(mine < 0.6) & (mine < theirs)] = 1
    return part
