"""The part of a picture around one face, and crops laid back into it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from facecraft.faces.alignment import AlignedCrop, FaceTemplate, align
from facecraft.faces.face import Face
from facecraft.imaging import compositing
from facecraft.imaging.changes import lay_change
from facecraft.imaging.geometry import Box, Size, Transform
from facecraft.imaging.image import Alpha, Image, Pixels

SEAM = 0.15
"""Width of the soft border with which a crop is laid back, as a fraction of its side."""
COLOR_MATCH = 0.5
"""How much a crop takes over the colours of the original: networks drift towards their training set."""
_ROOM = 2.2
"""The part is at least the face's box enlarged by this: recognisers look beyond the box."""


def moved(face: Face, transform: Transform) -> Face:
    """Return ``face`` in the pixels that ``transform`` leads to."""
    dense = face.dense
    if dense is not None:
        points = dense.points.copy()
        points[:, :2] = transform(points[:, :2])
        points[:, 2:] *= transform.scale
        dense = replace(dense, points=points)
    return replace(face, box=transform.box(face.box), landmarks=transform(face.landmarks), dense=dense)


@dataclass(frozen=True, slots=True, eq=False)
class FacePart:
    """One face of a picture, its aligned crop and the pixels around both."""

    crop: AlignedCrop
    before: Pixels
    """The part of the picture around the crop, H×W×3 RGB."""
    face: Face
    """The face in pixels of that part."""
    to_part: Transform
    """From crop pixels to pixels of the part."""
    corner: tuple[int, int]
    """The part's first column and row in the picture."""

    @classmethod
    def cut(cls, image: Image, face: Face, template: FaceTemplate, size: int) -> FacePart:
        """Align ``face`` as ``template`` at ``size`` pixels and take the part of ``image`` around it."""
        crop = align(image, face, template, size)
        covered, room = crop.inverse.box(Box(-1, -1, size, size)), face.box.scaled(_ROOM)
        box = Box(
            min(covered.x1, room.x1), min(covered.y1, room.y1), max(covered.x2, room.x2), max(covered.y2, room.y2)
        ).clipped(Size(image.width, image.height))
        x1, y1 = min(math.floor(box.x1), image.width - 1), min(math.floor(box.y1), image.height - 1)
        x2, y2 = max(math.ceil(box.x2), x1 + 1), max(math.ceil(box.y2), y1 + 1)
        shift = Transform(np.array([[1.0, 0.0, -x1], [0.0, 1.0, -y1]]))
        part = np.ascontiguousarray(image.rgb[y1:y2, x1:x2])
        return cls(crop, part, moved(face, shift), crop.inverse.then(shift), (x1, y1))

    def drawn(self, pixels: Pixels, mask: Alpha, strength: float) -> Pixels:
        """Return the part with what ``pixels`` (S×S×3) changed in the crop laid over it, ``mask`` times ``strength``."""
        weight = mask * np.float32(strength)
        return lay_change(self.before, self.crop.pixels, pixels, self.to_part, weight, match_color=COLOR_MATCH)

    def replaced(self, pixels: Pixels, mask: Alpha, strength: float) -> Pixels:
        """Return the part with ``pixels`` (S×S×3) pasted over it: nothing of what was below shines through ``mask``."""
        matched = compositing.color_matched(pixels, self.crop.pixels, mask, COLOR_MATCH)
        return compositing.paste_back(self.before, matched, self.to_part, mask * np.float32(strength))

    def put(self, part: Pixels, canvas: Pixels) -> None:
        """Write ``part`` over its place in ``canvas``, the picture that it was cut from."""
        x, y = self.corner
        canvas[y : y + part.shape[0], x : x + part.shape[1]] = part


def soft_square(size: int) -> Alpha:
    """Return the mask of a whole crop of ``size`` pixels with a soft border inside it: S×S float32, 0..1."""
    return compositing.feather(np.ones((size, size), np.float32), size * SEAM)
