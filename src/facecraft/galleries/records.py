"""What is known of galleries, people and faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

Vector = NDArray[np.float32]
"""An embedding: D float32 numbers; compared by direction (cosine), its length does not matter."""

Details = Mapping[str, JsonValue]
"""What the caller wants to remember of a person: a small JSON object."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """People who can be searched by face, pinned to one embedding model."""

    id: str
    name: str
    model_id: str
    """The catalogue id of the only model whose embeddings may be enrolled and searched."""
    dimension: int | None
    """How long its vectors are; None until the first face is enrolled."""
    people: int
    faces: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is enrolled."""

    id: str
    gallery_id: str
    name: str
    details: Details
    faces: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class EnrolledFace:
    """One face of a person. Its vector never leaves the gallery."""

    id: str
    person_id: str
    source: str | None
    """Where the face came from, in the caller's words."""
    has_crop: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewFace:
    """A face to enrol."""

    vector: Vector
    crop: bytes | None = None
    """The encoded picture of the face, kept beside the vector and deleted with it."""
    source: str | None = None


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Somebody to enrol; the faces may also be added later."""

    name: str
    faces: Sequence[NewFace] = ()
    details: Details = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """A person who resembles the probe, by the one of their faces that does most."""

    person: Person
    face_id: str
    similarity: float
    """Cosine, -1..1."""
