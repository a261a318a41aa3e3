"""Cutting a face out in the standard position that a network was trained on, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from facecraft.faces.face import Face
from facecraft.imaging.geometry import Points, Size, Transform
from facecraft.imaging.image import Alpha, Image, Pixels
from facecraft.imaging.resample import warp


@dataclass(frozen=True, slots=True)
class FaceTemplate:
    """Where the five landmarks stand in an aligned crop, as fractions of its side, in the order of FIVE_POINTS."""

    name: str
    points: tuple[tuple[float, float], ...]

    def scaled(self, size: int) -> Points:
        """The five points (5×2) in pixels of a square crop of ``size``."""
        return np.array(self.points, np.float64) * size


def _per_pixel(
    points: tuple[tuple[float, float], ...], side: float, right: float = 0.0
) -> tuple[tuple[float, float], ...]:
    return tuple(((x + right) / side, y / side) for x, y in points)


_ARCFACE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))

ARCFACE_112 = FaceTemplate("arcface_112", _per_pixel(_ARCFACE, 112))
"""ArcFace, SFace, eDifFIQA, FairFace (https://github.com/deepinsight/insightface, python-package face_align)."""
ARCFACE_128 = FaceTemplate("arcface_128", _per_pixel(_ARCFACE, 128, right=8))
"""The same, 8 pixels further right in 128: inswapper, HyperSwap, GPEN 256."""
ARCFACE_112_V1 = FaceTemplate(
    "arcface_112_v1",
    (
        (0.35473214, 0.45658929),
        (0.64526786, 0.45658929),
        (0.5, 0.61154464),
        (0.37913393, 0.77687500),
        (0.62086607, 0.77687500),
    ),
)
"""SimSwap and GHOST."""
FFHQ_512 = FaceTemplate(
    "ffhq_512",
    (
        (0.37691676, 0.46864664),
        (0.62285697, 0.46912813),
        (0.50123859, 0.61331904),
        (0.39308822, 0.72541100),
        (0.61150205, 0.72490465),
    ),
)
"""Face restoration: GFPGAN, CodeFormer, RestoreFormer++, GPEN 512 (facexlib's FFHQ alignment)."""

TEMPLATES = (ARCFACE_112, ARCFACE_128, ARCFACE_112_V1, FFHQ_512)


@dataclass(frozen=True, slots=True, eq=False)
class AlignedCrop:
    """A face in standard position and everything that is needed to put it back."""

    pixels: Pixels
    """S×S×3 RGB uint8; the border is repeated where the crop reaches beyond the picture."""
    inside: Alpha
    """S×S float32 0..1: how much of each pixel the picture covers."""
    transform: Transform
    """From picture pixels to crop pixels."""
    picture: Size
    """The size of the picture it was cut from."""
    inverse: Transform = field(init=False)
    """From crop pixels back to picture pixels."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "inverse", self.transform.inverse())

    @property
    def size(self) -> int:
        """The side of the square crop in pixels."""
        return int(self.pixels.shape[0])


def fit_similarity(source: Points, target: Points) -> Transform:
    """Return the scale, turn and shift (never a mirror) that maps ``source`` to ``target`` with least squared error.

    Both N×2, N >= 2. Umeyama, IEEE TPAMI 13(4), 1991. Raises ValueError when all source points coincide.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    mean_s, mean_t = source.mean(axis=0), target.mean(axis=0)
    s, t = source - mean_s, target - mean_t
    spread = float((s**2).sum())
    if not spread > 1e-12:
        raise ValueError("a similarity needs at least two different points")
    u, d, vt = np.linalg.svd(t.T @ s)
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt)) or 1.0])
    rotation = (u * sign) @ vt
    linear = rotation * float((d * sign).sum()) / spread
    return Transform(np.column_stack([linear, mean_t - linear @ mean_s]))


def align_points(image: Image, points: Points, target: Points, size: int) -> AlignedCrop:
    """Cut a ``size``×``size`` crop in which ``points`` (N×2, picture pixels) lie on ``target`` (N×2, crop pixels)."""
    transform = fit_similarity(points, target)
    warped = warp(image.rgb, transform, Size(size, size))
    return AlignedCrop(warped.pixels, warped.inside, transform, Size(image.width, image.height))


def align(image: Image, face: Face, template: FaceTemplate, size: int) -> AlignedCrop:
    """Cut ``face`` out of ``image`` as a ``size``×``size`` crop in the position of ``template``.

    The crop is resampled once, straight from the picture. Raises ValueError when the landmarks coincide.
    """
    return align_points(image, face.landmarks, template.scaled(size), size)
