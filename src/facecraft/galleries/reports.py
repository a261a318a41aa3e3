"""What is told of galleries: the replies of the endpoints and ``--json``. Every one names the embedding model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue

from facecraft.galleries.records import EnrolledFace, Gallery, Match, Person
from facecraft.pipelines.report import FaceRecord, Record, SourceRecord


class GalleryRecord(Record):
    """People who can be searched by face."""

    id: str
    name: str
    model: str
    """The only model whose vectors it holds: vectors of different models are never compared."""
    dimensions: int | None
    """How long its vectors are; null until the first face is enrolled."""
    people: int
    faces: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, gallery: Gallery) -> GalleryRecord:
        """Describe ``gallery``."""
        return cls(
            id=gallery.id,
            name=gallery.name,
            model=gallery.model_id,
            dimensions=gallery.dimension,
            people=gallery.people,
            faces=gallery.faces,
            created_at=gallery.created_at,
            updated_at=gallery.updated_at,
        )


class PersonRecord(Record):
    """Somebody who is enrolled."""

    id: str
    gallery_id: str
    model: str
    name: str
    details: dict[str, JsonValue]
    """What was sent with the enrollment."""
    faces: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, person: Person, model_id: str) -> PersonRecord:
        """Describe ``person`` of a gallery of ``model_id``."""
        return cls(
            id=person.id,
            gallery_id=person.gallery_id,
            model=model_id,
            name=person.name,
            details=dict(person.details),
            faces=person.faces,
            created_at=person.created_at,
            updated_at=person.updated_at,
        )


class EnrolledFaceRecord(Record):
    """One face of a person. Its vector never leaves the gallery."""

    id: str
    person_id: str
    model: str
    source: str | None
    """The name of the file that it came from."""
    has_crop: bool
    created_at: datetime

    @classmethod
    def of(cls, face: EnrolledFace, model_id: str) -> EnrolledFaceRecord:
        """Describe ``face`` of a gallery of ``model_id``."""
        return cls(
            id=face.id,
            person_id=face.person_id,
            model=model_id,
            source=face.source,
            has_crop=face.has_crop,
            created_at=face.created_at,
        )


class GalleriesPage(Record):
    """One page of galleries, the oldest first."""

    items: tuple[GalleryRecord, ...]
    cursor: str | None
    """What to send for the next page; null when this is the last."""


class PeoplePage(Record):
    """One page of people in the order of their enrollment."""

    model: str
    items: tuple[PersonRecord, ...]
    cursor: str | None
    """What to send for the next page; null when this is the last."""


class EnrolledFacesPage(Record):
    """One page of faces in the order of their enrollment."""

    model: str
    items: tuple[EnrolledFaceRecord, ...]
    cursor: str | None
    """What to send for the next page; null when this is the last."""


class MatchRecord(Record):
    """A person who resembles the face that was searched for."""

    person: PersonRecord
    face_id: str
    """The one of their faces that does most."""
    similarity: float
    """Cosine, -1..1."""


class ProbeRecord(Record):
    """A face that was searched for, and who resembles it."""

    index: int
    """Counted from 0 over the faces that were searched for."""
    face: FaceRecord | None
    """The face in the picture; null for a vector."""
    matches: tuple[MatchRecord, ...]
    """By falling similarity, each person once; empty when nobody reaches the threshold."""

    @classmethod
    def of(cls, index: int, face: FaceRecord | None, matches: Sequence[Match], model_id: str) -> ProbeRecord:
        """Describe the ``matches`` of one face in a gallery of ``model_id``."""
        return cls(
            index=index,
            face=face,
            matches=tuple(
                MatchRecord(
                    person=PersonRecord.of(match.person, model_id),
                    face_id=match.face_id,
                    similarity=round(match.similarity, 5),
                )
                for match in matches
            ),
        )


class SearchReport(Record):
    """Who was found in a gallery."""

    gallery_id: str
    model: str
    """The recogniser of the gallery."""
    threshold: float | None
    """Least cosine similarity of a match; null where none was given and the model's authors state none: then everybody
    is a match."""
    false_match_rate: float | None
    """The part of pairs of different people that reach this threshold, where the model's authors state one."""
    top_k: int
    source: SourceRecord | None
    """The picture; null for vectors."""
    probes: tuple[ProbeRecord, ...]
    models: dict[str, str]
    """Which model did which task."""
    total_milliseconds: float
