"""Apparent age and sex: InsightFace's genderage, and FairFace without its race head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.alignment import ARCFACE_112, align
from facecraft.faces.attributes import Attributes, Sex
from facecraft.faces.face import Face
from facecraft.imaging.image import Image, Pixels
from facecraft.inference.session import Session, Tensor
from facecraft.models.embedders.dlib_resnet import dlib_chip
from facecraft.models.tensors import box_crop, is_shape, planar, require, run_crops, shaped, takes_crops

_GENDERAGE_ROOM = 1.5
_GENDERAGE_SEXES: tuple[Sex, Sex] = ("female", "male")
_FAIRFACE_SIDE = 224
_FAIRFACE_SEXES: tuple[Sex, Sex] = ("male", "female")
_FAIRFACE_AGES: tuple[tuple[int, int | None], ...] = (
    (0, 2), (3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69), (70, None),
)  # fmt: skip
_IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_SCALE = (1 / (0.229 * 255), 1 / (0.224 * 255), 1 / (0.225 * 255))


class GenderAge:
    """InsightFace's ``genderage``: RGB, NCHW, 0..255; the graph normalizes itself.

    https://github.com/deepinsight/insightface (model_zoo/attribute.py). The crop has the box in its middle with 1.5
    times its longer side, and is turned upright; its side is that of the graph (96). Output N×3: two values for
    female and male, of which the larger counts, and the age in hundreds of years. All faces of a picture go through the
    network in one run when its batch side is open. Raises ModelLoadError when the graph is another one.
    """

    def __init__(self, session: Session) -> None:
        shape = session.inputs[0].shape if session.inputs else ()
        self._side = (shape[2] if len(shape) == 4 else None) or 96
        require(
            session,
            "a network for sex and age",
            fits=takes_crops(session, self._side)
            and len(session.outputs) == 1
            and is_shape(session.outputs[0], None, 3),
        )
        self._session = session

    def describe(self, image: Image, faces: Sequence[Face]) -> tuple[Attributes, ...]:
        """Return apparent sex and age in years of every face. The network gives no scores."""
        if not faces:
            return ()
        crops = np.stack([box_crop(image, face, self._side, self._side / _GENDERAGE_ROOM)[0] for face in faces])
        rows = shaped(run_crops(self._session, planar(crops))[self._session.outputs[0].name], len(faces), 3)
        return tuple(
            Attributes(age=max(0, round(float(row[2]) * 100)), sex=_GENDERAGE_SEXES[int(np.argmax(row[:2]))])
            for row in rows
        )


@dataclass(frozen=True, slots=True)
class FairFaceVariant:
    """What tells one export of FairFace from the other."""

    aligned_by_dlib: bool
    """Whether crops are dlib's chips, as in training, or stand in the ArcFace position."""
    logits: bool
    """Whether the outputs are logits of every class, or the numbers of the classes."""


FAIRFACE_LOGITS = FairFaceVariant(aligned_by_dlib=True, logits=True)
"""https://github.com/yakhyo/fairface-onnx: the original weights, three outputs of logits."""
FAIRFACE_CLASSES = FairFaceVariant(aligned_by_dlib=False, logits=False)
"""FaceFusion's export: three outputs of class numbers."""


class FairFace:
    """FairFace: RGB, NCHW, 224×224, normalized as for ImageNet.

    Kärkkäinen, Joo, "FairFace", WACV 2021 (https://github.com/joojs/fairface, CC BY 4.0). It was trained on dlib's chips
    with a padding of 0.25. Outputs whose names hold ``gender`` and ``age`` are read; the graph's race output never is:
    nobody should be sorted by it. All faces of a picture go through the network in one run when its batch side is
    open. Raises ModelLoadError when the graph is another one.
    """

    def __init__(self, session: Session, variant: FairFaceVariant) -> None:
        sexes = [spec for spec in session.outputs if "gender" in spec.name]
        ages = [spec for spec in session.outputs if "age" in spec.name]
        require(
            session,
            "FairFace",
            fits=takes_crops(session, _FAIRFACE_SIDE)
            and len(sexes) == 1
            and len(ages) == 1
            and (
                is_shape(sexes[0], None, len(_FAIRFACE_SEXES)) and is_shape(ages[0], None, len(_FAIRFACE_AGES))
                if variant.logits
                else all(spec.shape[1:] in ((), (1,), (None,)) for spec in (*sexes, *ages))
            ),
        )
        self._session, self._variant = session, variant
        self._sex, self._age = sexes[0].name, ages[0].name

    def describe(self, image: Image, faces: Sequence[Face]) -> tuple[Attributes, ...]:
        """Return apparent sex and age group of every face, with scores where the export has logits."""
        if not faces:
            return ()
        crops = np.stack([self._crop(image, face) for face in faces])
        outputs = run_crops(self._session, planar(crops, mean=_IMAGENET_MEAN, scale=_IMAGENET_SCALE))
        sexes, sex_scores = self._read(outputs[self._sex], len(faces), len(_FAIRFACE_SEXES))
        ages, age_scores = self._read(outputs[self._age], len(faces), len(_FAIRFACE_AGES))
        return tuple(
            Attributes(
                age_range=_FAIRFACE_AGES[age], age_score=age_score, sex=_FAIRFACE_SEXES[sex], sex_score=sex_score
            )
            for age, age_score, sex, sex_score in zip(ages, age_scores, sexes, sex_scores, strict=True)
        )

    def _crop(self, image: Image, face: Face) -> Pixels:
        if self._variant.aligned_by_dlib:
            return dlib_chip(image, face, _FAIRFACE_SIDE)
        return align(image, face, ARCFACE_112, _FAIRFACE_SIDE).pixels

    def _read(self, output: Tensor, count: int, classes: int) -> tuple[list[int], list[float | None]]:
        """Return the class of every row and how sure it is."""
        if not self._variant.logits:
            return [int(number) for number in shaped(output, count)], [None] * count
        likely = _softmax(shaped(output, count, classes).astype(np.float64))
        best = likely.argmax(axis=1)
        return best.tolist(), likely[np.arange(count), best].tolist()


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    likely: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return likely
