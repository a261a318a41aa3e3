"""The options of enrolling and searching with pictures."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from facecraft.faces.selection import FacePolicy
from facecraft.galleries.rules import MAX_DIMENSION, MAX_PROBES, MAX_TOP_K
from facecraft.options import Options
from facecraft.pipelines.recognition import ThresholdOptions
from facecraft.pipelines.stages.detect import DetectOptions


class EnrollOptions(DetectOptions):
    """Which face of each picture is enrolled, and what is kept of it."""

    faces: FacePolicy = FacePolicy.ONLY
    """Which face is meant when there are several: only (several are an error), largest, central or index (see
    face_index)."""
    keep_crops: bool = True
    """Keep a small picture of each face beside its vector, to look at later; it is deleted with the face."""

    @model_validator(mode="after")
    def _one_face(self) -> Self:
        if self.faces is FacePolicy.ALL:
            raise ValueError("all faces of a picture are not one person: choose only, largest, central or index")
        return self


class MatchOptions(ThresholdOptions):
    """Who is found."""

    top_k: Annotated[int, Field(ge=1, le=MAX_TOP_K)] = 5
    """Most people that are found for one face, the most similar first."""


class SearchOptions(DetectOptions, MatchOptions):
    """Which faces of a picture are searched for, and who is found."""

    faces: FacePolicy = FacePolicy.ALL
    """Which face is meant when there are several: largest, central, index (see face_index), only or all."""


Number = Annotated[float, Field(allow_inf_nan=False)]


class VectorSearch(MatchOptions):
    """Faces to search for that are vectors already."""

    model: str
    """The model that made the vectors: the gallery's own."""
    vectors: Annotated[
        list[Annotated[list[Number], Field(min_length=1, max_length=MAX_DIMENSION)]],
        Field(min_length=1, max_length=MAX_PROBES),
    ]
    """One vector for each face, all equally long; their length of 1 is restored."""

    @model_validator(mode="after")
    def _equally_long(self) -> Self:
        if len({len(vector) for vector in self.vectors}) > 1:
            raise ValueError("the vectors have different lengths")
        return self


class NewGallery(Options):
    """A gallery to make."""

    name: str
    """What people call it; names need not differ."""
    model: str = "auto"
    """The model that turns its faces into vectors, once and for all: a catalogue id, or auto for the best installed
    one."""
