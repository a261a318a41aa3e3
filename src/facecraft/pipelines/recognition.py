"""Faces as vectors, their comparison, and what networks guess of them: functions over the hub, without any picture made.

Similarity is the cosine of two unit vectors, -1..1. Vectors of different models live in different spaces: comparing them
is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facecraft.errors import EmbeddingMismatchError, NoFaceFoundError
from facecraft.faces.attributes import Attributes
from facecraft.faces.face import Face
from facecraft.faces.selection import FacePolicy
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Image
from facecraft.models.hub import ModelHub
from facecraft.models.hub.hub import AUTO
from facecraft.options import Options
from facecraft.pipelines.stage import Context
from facecraft.pipelines.stages.detect import DetectOptions, detect
from facecraft.progress import CancelToken


class EveryFaceOptions(DetectOptions):
    """How faces are found and which of them is meant."""

    faces: FacePolicy = FacePolicy.ALL
    """Which face is meant when there are several: largest, central, index (see face_index), only or all."""


class GuessOptions(Options):
    """What networks are asked about each face."""

    attributes: bool = False
    """Guess apparent age and sex. Needs a model for it."""
    attributes_model: str = AUTO
    """Model that guesses apparent age and sex: a catalogue id, or auto for the best installed one."""
    quality: bool = False
    """Judge how usable each face is for recognition. Needs a model for it."""
    quality_model: str = AUTO
    """Model that judges it: a catalogue id, or auto for the best installed one."""


class EmbedderOptions(Options):
    """Which network turns faces into vectors."""

    embedder: str = AUTO
    """Model that turns faces into vectors: a catalogue id, or auto for the best installed one."""


class ThresholdOptions(Options):
    """From when on two faces are called one person."""

    threshold: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)] | None = None
    """Least cosine similarity of a match; the one that the model's authors state unless given."""


class DescribeOptions(EveryFaceOptions, GuessOptions):
    """Every face and, when asked, what networks guess of it."""


class AttributesOptions(DescribeOptions):
    """Apparent age and sex of faces."""

    attributes: bool = True
    """Guess apparent age and sex. Needs a model for it."""


class EmbedOptions(EveryFaceOptions, EmbedderOptions):
    """Faces as vectors."""


class CompareOptions(DetectOptions, EmbedderOptions, ThresholdOptions):
    """Two pictures compared: the face that is meant in each, or with faces=all every face with every face."""


FACES: Mapping[str, type[Options]] = MappingProxyType(
    {
        "detect": DescribeOptions,
        "attributes": AttributesOptions,
        "embeddings": EmbedOptions,
        "compare": CompareOptions,
    }
)
"""The options of every way to look at faces, by the word for it over HTTP."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundFaces:
    """The faces of one picture."""

    size: Size
    faces: tuple[Face, ...]
    """From left to right."""
    chosen: tuple[int, ...]
    """Indexes of those that are meant."""
    models: dict[str, str]
    """Which model did which task."""

    @property
    def meant(self) -> tuple[Face, ...]:
        """The chosen faces."""
        return tuple(self.faces[index] for index in self.chosen)


@dataclass(frozen=True, slots=True, eq=False)
class DescribedFaces:
    """The faces of one picture and what networks guess of them."""

    found: FoundFaces
    attributes: dict[int, Attributes]
    """By index of the face; empty when nobody asked."""
    quality: dict[int, float]
    """By index of the face; empty when nobody asked."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceEmbeddings:
    """The chosen faces of one picture as vectors."""

    model_id: str
    vectors: NDArray[np.float32]
    """N×D, of length 1, in the order of ``found.chosen``."""
    found: FoundFaces
    threshold: float | None = None
    """From which similarity on the model's authors call two faces one person, where they say so."""
    false_match_rate: float | None = None
    """The part of pairs of different people that reach it, where they say so."""


class Embedded(Protocol):
    """Faces as vectors, and what is known of the model that made them."""

    @property
    def model_id(self) -> str:
        """The catalogue id of that model."""
        ...

    @property
    def vectors(self) -> NDArray[np.float32]:
        """N×D, of length 1."""
        ...

    @property
    def threshold(self) -> float | None:
        """From which similarity on its authors call two faces one person, where they say so."""
        ...

    @property
    def false_match_rate(self) -> float | None:
        """The part of pairs of different people that reach it, where they say so."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Every face of one picture compared with every face of another."""

    model_id: str
    similarity: NDArray[np.float32]
    """N×M cosines, -1..1."""
    threshold: float | None
    """From when on two faces match; None: nobody gave one and the model's authors state none."""
    false_match_rate: float | None
    """As the model's authors state it for their own threshold; None for any other, and where they are silent."""

    @property
    def matches(self) -> NDArray[np.bool_] | None:
        """N×M: which faces are called one person; None without a threshold."""
        return None if self.threshold is None else self.similarity >= self.threshold


def locate_faces(image: Image, options: DetectOptions, models: ModelHub) -> FoundFaces:
    """Find the faces of ``image`` and choose those that are meant, as the stage ``detect`` does; raises what it raises."""
    done = detect.run(Context(original=image), options.pick(DetectOptions), models)
    return FoundFaces(Size(image.width, image.height), done.faces, done.chosen, dict(done.models))


def describe(
    image: Image, options: DescribeOptions, models: ModelHub, *, cancel: CancelToken | None = None
) -> DescribedFaces:
    """Find faces and guess what is asked of the chosen ones.

    Raises ModelNotInstalledError, with the command that helps, for a model that was asked for and is not here.
    """
    cancel = cancel or CancelToken()
    # Asked first: a network that is not here is said before the work.
    guesser = models.attributes(options.attributes_model) if options.attributes else None
    judge = models.quality(options.quality_model) if options.quality else None
    found = locate_faces(image, options, models)
    guessed: tuple[Attributes, ...] = ()
    judged: list[float] = []
    if guesser is not None:
        cancel.check()
        guessed = guesser.describe(image, found.meant)
        found.models["face_attributes"] = guesser.model_id
    if judge is not None:
        cancel.check()
        judged = judge.score(image, found.meant).tolist()
        found.models["face_quality"] = judge.model_id
    return DescribedFaces(
        found,
        dict(zip(found.chosen, guessed, strict=True)) if guesser else {},
        dict(zip(found.chosen, judged, strict=True)) if judge else {},
    )


def embed_faces(
    image: Image, options: EmbedOptions | CompareOptions, models: ModelHub, *, cancel: CancelToken | None = None
) -> FaceEmbeddings:
    """Turn the chosen faces of ``image`` into unit vectors. Raises NoFaceFoundError where there is none."""
    embedder = models.embedder(options.embedder)
    found = locate_faces(image, options, models)
    if not found.chosen:
        raise NoFaceFoundError
    (cancel or CancelToken()).check()
    vectors = embedder.embed(image, found.meant)
    found.models["face_recognition"] = embedder.model_id
    return FaceEmbeddings(embedder.model_id, vectors, found, embedder.threshold, embedder.false_match_rate)


def compare(first: Embedded, second: Embedded, threshold: float | None = None) -> Comparison:
    """Compare every face of ``first`` with every face of ``second``.

    ``threshold`` None stands for the one of the model's authors. Raises EmbeddingMismatchError when the vectors were made
    by different models.
    """
    if first.model_id != second.model_id:
        raise EmbeddingMismatchError(
            f"Faces embedded with {first.model_id} cannot be compared with faces embedded with {second.model_id}.",
            hint="Embed both with one model: vectors of different models are never compared.",
        )
    similarity = np.clip(first.vectors @ second.vectors.T, -1, 1).astype(np.float32)
    if threshold is not None:
        return Comparison(first.model_id, similarity, threshold, None)
    return Comparison(first.model_id, similarity, first.threshold, first.false_match_rate)
