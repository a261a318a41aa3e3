"""What was found about faces, for programs and people: the replies of the face endpoints and ``--json``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facecraft.faces.attributes import Attributes, Sex
from facecraft.imaging.image import Image
from facecraft.pipelines.recognition import Comparison, DescribedFaces, FaceEmbeddings, FoundFaces, compare
from facecraft.pipelines.report import FaceRecord, Record, SourceRecord


class AttributesRecord(Record):
    """Apparent age and sex: a guess of a network from one picture, and often wrong. What it does not tell is null."""

    age: int | None
    """Years, from networks that estimate a number."""
    age_range: tuple[int, int | None] | None
    """First and last year of an age group, from networks that choose one; the last group has no end."""
    age_score: float | None
    """How sure the network is of the age group, 0..1."""
    sex: Sex | None
    sex_score: float | None
    """How sure the network is of the sex, 0..1."""

    @classmethod
    def of(cls, guessed: Attributes) -> AttributesRecord:
        """Describe ``guessed``."""
        return cls(
            age=guessed.age,
            age_range=guessed.age_range,
            age_score=_short(guessed.age_score),
            sex=guessed.sex,
            sex_score=_short(guessed.sex_score),
        )


class DescribedFace(FaceRecord):
    """One face and what networks guess of it; null what was not asked or not chosen."""

    attributes: AttributesRecord | None
    quality: float | None
    """Higher is better; numbers of different models are not comparable."""


class EmbeddedFace(FaceRecord):
    """One face as a vector of length 1."""

    embedding: tuple[float, ...]


class FacesReport(Record):
    """Every face of a picture."""

    source: SourceRecord
    faces: tuple[DescribedFace, ...]
    """From left to right; ``chosen`` are those that the options meant."""
    models: dict[str, str]
    """Which model did which task."""
    device: str
    total_milliseconds: float

    @classmethod
    def of(cls, image: Image, name: str | None, done: DescribedFaces, device: str, milliseconds: float) -> FacesReport:
        """Describe ``done`` of ``image``."""
        faces = []
        for record in _faces(done.found):
            guessed = done.attributes.get(record.index)
            extra = {
                "attributes": None if guessed is None else AttributesRecord.of(guessed),
                "quality": _short(done.quality.get(record.index)),
            }
            faces.append(DescribedFace.model_validate({**dict(record), **extra}))
        return cls(
            source=SourceRecord.of(image, name),
            faces=tuple(faces),
            models=done.found.models,
            device=device,
            total_milliseconds=round(milliseconds, 2),
        )


class EmbeddingsReport(Record):
    """The chosen faces of a picture as vectors."""

    source: SourceRecord
    model: str
    """The recogniser: vectors of different models are never compared."""
    dimensions: int
    threshold: float | None
    """From which cosine similarity on the model's authors call two faces one person, where they say so."""
    false_match_rate: float | None
    """The part of pairs of different people that reach it, where they say so."""
    faces: tuple[EmbeddedFace, ...]
    """The chosen faces from left to right."""
    models: dict[str, str]
    """Which model did which task."""
    device: str
    total_milliseconds: float

    @property
    def model_id(self) -> str:
        """The recogniser."""
        return self.model

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The embeddings as N×D float32."""
        return np.array([face.embedding for face in self.faces], np.float32)

    def compare(self, other: EmbeddingsReport, threshold: float | None = None) -> Comparison:
        """Compare every face with every face of ``other``. Raises EmbeddingMismatchError for one of another model."""
        return compare(self, other, threshold)

    @classmethod
    def of(
        cls, image: Image, name: str | None, done: FaceEmbeddings, device: str, milliseconds: float
    ) -> EmbeddingsReport:
        """Describe ``done`` of ``image``."""
        records = _faces(done.found)
        faces = tuple(
            EmbeddedFace.model_validate(
                {**dict(records[index]), "embedding": np.round(vector.astype(float), 8).tolist()}
            )
            for index, vector in zip(done.found.chosen, done.vectors, strict=True)
        )
        return cls(
            source=SourceRecord.of(image, name),
            model=done.model_id,
            dimensions=done.vectors.shape[1],
            threshold=done.threshold,
            false_match_rate=done.false_match_rate,
            faces=faces,
            models=done.found.models,
            device=device,
            total_milliseconds=round(milliseconds, 2),
        )


class ComparedPicture(Record):
    """One of two compared pictures."""

    source: SourceRecord
    faces: tuple[FaceRecord, ...]
    """The compared faces, from left to right: rows (of the first) and columns (of the second) of the matrices."""


class CompareReport(Record):
    """Every chosen face of one picture compared with every chosen face of another."""

    model: str
    """The recogniser that compared."""
    similarity: tuple[tuple[float, ...], ...]
    """Cosine similarity of face i of the first picture and face j of the second, -1..1."""
    best: float
    """The greatest of them."""
    match: bool | None
    """Whether any two of them are called one person; null without a threshold."""
    matches: tuple[tuple[bool, ...], ...] | None
    """The same for each pair."""
    threshold: float | None
    """From which similarity on two faces are called one person; null where the model's authors state none."""
    false_match_rate: float | None
    """The part of pairs of different people that reach this threshold, where the model's authors state one."""
    first: ComparedPicture
    second: ComparedPicture
    models: dict[str, str]
    """Which model did which task."""
    device: str
    total_milliseconds: float

    @classmethod
    def of(
        cls,
        pictures: tuple[ComparedPicture, ComparedPicture],
        models: dict[str, str],
        done: Comparison,
        device: str,
        milliseconds: float,
    ) -> CompareReport:
        """Describe ``done``, the comparison of two ``pictures``."""
        matches = done.matches
        return cls(
            model=done.model_id,
            similarity=tuple(tuple(round(float(value), 5) for value in row) for row in done.similarity),
            best=round(float(done.similarity.max()), 5),
            match=None if matches is None else bool(matches.any()),
            matches=None if matches is None else tuple(tuple(map(bool, row)) for row in matches),
            threshold=done.threshold,
            false_match_rate=done.false_match_rate,
            first=pictures[0],
            second=pictures[1],
            models=models,
            device=device,
            total_milliseconds=round(milliseconds, 2),
        )


def compared(image: Image, name: str | None, done: FaceEmbeddings) -> ComparedPicture:
    """Describe the chosen faces of ``image``."""
    records = _faces(done.found)
    return ComparedPicture(source=SourceRecord.of(image, name), faces=tuple(records[i] for i in done.found.chosen))


def _faces(found: FoundFaces) -> list[FaceRecord]:
    return [
        FaceRecord.of(face, index, found.size, chosen=index in found.chosen) for index, face in enumerate(found.faces)
    ]


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
