"""The statements that read and change the tables of galleries. Every one of them is bound to an owner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from facecraft.db.ids import new_id, parse_id
from facecraft.db.tables import FACES, GALLERIES, PEOPLE
from facecraft.errors import (
    EmbeddingMismatchError,
    EnrolledFaceNotFoundError,
    GalleryNotFoundError,
    PersonNotFoundError,
)
from facecraft.galleries.records import EnrolledFace, Gallery, NewPerson, Person, Vector
from facecraft.galleries.rules import to_bytes

_CHUNK = 1000
PartT = TypeVar("PartT")


@dataclass(frozen=True, slots=True)
class Pinned:
    """What must be known of a gallery before its faces are read or changed."""

    id: str
    model_id: str
    dimension: int | None
    revision: int


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


def chunks(parts: Sequence[PartT], size: int = _CHUNK) -> Iterator[Sequence[PartT]]:
    """Yield ``parts`` in pieces that a statement can name."""
    for start in range(0, len(parts), size):
        yield parts[start : start + size]


def belongs(table: sa.Table, owner: str | None) -> sa.ColumnElement[bool]:
    """The condition that a row is the caller's own."""
    return table.c.owner.is_(None) if owner is None else table.c.owner == owner


# --- galleries -----------------------------------------------------------------------------------------------------


def _present(owner: str | None) -> sa.ColumnElement[bool]:
    return sa.and_(belongs(GALLERIES, owner), GALLERIES.c.deleted_at.is_(None))


def _galleries(owner: str | None) -> sa.Select[Any]:
    people = sa.select(sa.func.count()).where(PEOPLE.c.gallery_id == GALLERIES.c.id).scalar_subquery()
    faces = sa.select(sa.func.count()).where(FACES.c.gallery_id == GALLERIES.c.id).scalar_subquery()
    return sa.select(GALLERIES, people.label("people"), faces.label("faces")).where(_present(owner))


def to_gallery(row: Row[Any]) -> Gallery:
    """Make the record of a gallery."""
    return Gallery(row.id, row.name, row.model_id, row.dimension, row.people, row.faces, row.created_at, row.updated_at)


def insert_gallery(connection: Connection, name: str, model_id: str, dimension: int | None, owner: str | None) -> str:
    """Add an empty gallery and return its id."""
    gallery_id, moment = new_id(), now()
    connection.execute(
        sa.insert(GALLERIES).values(
            id=gallery_id, owner=owner, name=name, model_id=model_id, dimension=dimension, revision=0,
            forgotten_removal=0, created_at=moment, updated_at=moment,
        )
    )  # fmt: skip
    return gallery_id


def select_galleries(connection: Connection, owner: str | None, after: str | None, limit: int) -> Sequence[Row[Any]]:
    """Read galleries in the order in which they were made, beginning after one of them."""
    query = _galleries(owner).order_by(GALLERIES.c.id).limit(limit)
    return connection.execute(query if after is None else query.where(GALLERIES.c.id > after)).all()


def select_gallery(connection: Connection, gallery_id: str, owner: str | None) -> Gallery:
    """Read one gallery. Raises GalleryNotFoundError."""
    query = _galleries(owner).where(GALLERIES.c.id == known(gallery_id, GalleryNotFoundError))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise GalleryNotFoundError
    return to_gallery(row)


# The two statements of every search are built once: building them takes longer than running them.
_OWNER = sa.bindparam("caller", type_=GALLERIES.c.owner.type)
_PINNED: sa.Select[Any] = sa.select(
    GALLERIES.c.id, GALLERIES.c.model_id, GALLERIES.c.dimension, GALLERIES.c.revision
).where(
    GALLERIES.c.id == sa.bindparam("gallery"),
    GALLERIES.c.owner.is_not_distinct_from(_OWNER),
    GALLERIES.c.deleted_at.is_(None),
)


def require_gallery(connection: Connection, gallery_id: str, owner: str | None) -> Pinned:
    """Read the id, model, dimension and revision of a gallery. Raises GalleryNotFoundError."""
    chosen = {"gallery": known(gallery_id, GalleryNotFoundError), "caller": owner}
    row = connection.execute(_PINNED, chosen).one_or_none()
    if row is None:
        raise GalleryNotFoundError
    return Pinned(row.id, row.model_id, row.dimension, row.revision)


def rename_gallery(connection: Connection, gallery_id: str, owner: str | None, name: str) -> None:
    """Give a gallery another name. Raises GalleryNotFoundError."""
    _change_gallery(connection, gallery_id, owner, name=name)


def change_faces(connection: Connection, gallery_id: str, owner: str | None) -> Pinned:
    """Count the revision up, which makes other writers of this gallery wait until the transaction ends.

    Raises GalleryNotFoundError.
    """
    _change_gallery(connection, gallery_id, owner, revision=GALLERIES.c.revision + 1)
    return require_gallery(connection, gallery_id, owner)


def hide_gallery(connection: Connection, gallery_id: str, owner: str | None) -> None:
    """Take a gallery out of everybody's sight, before its rows are deleted piece by piece."""
    _change_gallery(connection, gallery_id, owner, revision=GALLERIES.c.revision + 1, deleted_at=now())


def _change_gallery(
    connection: Connection, gallery_id: str, owner: str | None, **values: str | datetime | sa.ColumnElement[int]
) -> None:
    statement = sa.update(GALLERIES).where(GALLERIES.c.id == known(gallery_id, GalleryNotFoundError), _present(owner))
    if connection.execute(statement.values(updated_at=now(), **values)).rowcount == 0:
        raise GalleryNotFoundError


def pin(connection: Connection, gallery: Pinned, model_id: str, dimension: int) -> None:
    """Make sure that vectors fit to a gallery, whose first face decides how long they are.

    Raises EmbeddingMismatchError.
    """
    check_match(gallery, model_id, dimension)
    if gallery.dimension is None and dimension:
        connection.execute(sa.update(GALLERIES).where(GALLERIES.c.id == gallery.id).values(dimension=dimension))


def check_match(gallery: Pinned, model_id: str, dimension: int) -> None:
    """Raise EmbeddingMismatchError unless vectors of a model and a length (0: none) may meet those of a gallery."""
    if gallery.model_id != model_id:
        raise EmbeddingMismatchError(f"The gallery works with {gallery.model_id}, the embedding is from {model_id}.")
    if dimension and gallery.dimension is not None and gallery.dimension != dimension:
        raise EmbeddingMismatchError(f"The gallery's vectors have {gallery.dimension} numbers, this one {dimension}.")


# --- people --------------------------------------------------------------------------------------------------------


def _count_of_faces() -> sa.Label[int]:
    counted = FACES.alias()
    mine = counted.c.person_number == PEOPLE.c.number
    return (
        sa.select(sa.func.count()).select_from(counted).where(mine).correlate(PEOPLE).scalar_subquery().label("faces")
    )


def _people(gallery_id: str, owner: str | None) -> sa.Select[Any]:
    return sa.select(PEOPLE, _count_of_faces()).where(PEOPLE.c.gallery_id == gallery_id, belongs(PEOPLE, owner))


def to_person(row: Row[Any]) -> Person:
    """Make the record of a person."""
    return Person(row.id, row.gallery_id, row.name, row.details, row.faces, row.created_at, row.updated_at)


def insert_people(
    connection: Connection, gallery_id: str, owner: str | None, people: Sequence[NewPerson]
) -> list[tuple[int, Person]]:
    """Add people and return the number and the record of each, in their order. Their faces are still to be added."""
    moment = now()
    made = [Person(new_id(), gallery_id, one.name, one.details, len(one.faces), moment, moment) for one in people]
    connection.execute(
        sa.insert(PEOPLE),
        [
            {"id": one.id, "gallery_id": gallery_id, "owner": owner, "name": one.name, "details": one.details,
             "created_at": moment, "updated_at": moment}
            for one in made
        ],
    )  # fmt: skip
    numbers: dict[str, int] = {}
    for part in chunks([one.id for one in made]):
        found = connection.execute(sa.select(PEOPLE.c.id, PEOPLE.c.number).where(PEOPLE.c.id.in_(part)))
        numbers.update((row.id, row.number) for row in found)
    return [(numbers[one.id], one) for one in made]


def select_people(
    connection: Connection, gallery_id: str, owner: str | None, after: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Read people in the order in which they were enrolled, beginning after one of them."""
    query = _people(gallery_id, owner).order_by(PEOPLE.c.id).limit(limit)
    return connection.execute(query if after is None else query.where(PEOPLE.c.id > after)).all()


def require_person(connection: Connection, gallery_id: str, owner: str | None, person_id: str) -> Row[Any]:
    """Read one person, with the number. Raises PersonNotFoundError."""
    query = _people(gallery_id, owner).where(PEOPLE.c.id == known(person_id, PersonNotFoundError))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise PersonNotFoundError
    return row


_WINNERS: sa.Select[Any] = (
    sa.select(PEOPLE, _count_of_faces(), FACES.c.number.label("face_number"), FACES.c.id.label("face_id"))
    .select_from(
        FACES.join(PEOPLE, FACES.c.person_number == PEOPLE.c.number).join(
            GALLERIES, PEOPLE.c.gallery_id == GALLERIES.c.id
        )
    )
    .where(
        FACES.c.number.in_(sa.bindparam("winners", expanding=True)),
        GALLERIES.c.id == sa.bindparam("gallery"),
        GALLERIES.c.deleted_at.is_(None),
        *(table.c.owner.is_not_distinct_from(_OWNER) for table in (GALLERIES, PEOPLE, FACES)),
    )
)


def select_winners(
    connection: Connection, gallery_id: str, owner: str | None, faces: Iterable[int]
) -> dict[int, tuple[str, Person]]:
    """Read the id and the person of each of these face numbers; those that are gone are missing."""
    found: dict[int, tuple[str, Person]] = {}
    for part in chunks(sorted(set(faces))):
        chosen = {"winners": part, "gallery": gallery_id, "caller": owner}
        rows = connection.execute(_WINNERS, chosen)
        found.update((row.face_number, (row.face_id, to_person(row))) for row in rows)
    return found


# --- faces ---------------------------------------------------------------------------------------------------------


def to_face(row: Row[Any], person_id: str) -> EnrolledFace:
    """Make the record of a face."""
    return EnrolledFace(row.id, person_id, row.source, row.crop_key is not None, row.created_at)


def insert_faces(
    connection: Connection,
    gallery_id: str,
    owner: str | None,
    faces: Sequence[tuple[int, Vector, str | None, str | None]],
    moment: datetime,
) -> list[str]:
    """Add faces (person number, vector, crop key, source) at ``moment`` and return their ids, in their order."""
    rows = [
        {"id": new_id(), "gallery_id": gallery_id, "person_number": person, "owner": owner,
         "vector": to_bytes(vector), "crop_key": key, "source": source, "created_at": moment}
        for person, vector, key, source in faces
    ]  # fmt: skip
    if rows:
        connection.execute(sa.insert(FACES), rows)
    return [str(row["id"]) for row in rows]


def select_faces(
    connection: Connection, person_number: int, owner: str | None, after: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Read the faces of a person in the order in which they were enrolled, without their vectors."""
    columns = sa.select(FACES.c.id, FACES.c.source, FACES.c.crop_key, FACES.c.created_at)
    query: sa.Select[Any] = columns.where(FACES.c.person_number == person_number, belongs(FACES, owner))
    query = query.order_by(FACES.c.id).limit(limit)
    return connection.execute(query if after is None else query.where(FACES.c.id > after)).all()


def require_face(connection: Connection, person_number: int, owner: str | None, face_id: str) -> Row[Any]:
    """Read a face without its vector. Raises EnrolledFaceNotFoundError."""
    columns = sa.select(FACES.c.number, FACES.c.id, FACES.c.source, FACES.c.crop_key, FACES.c.created_at)
    query: sa.Select[Any] = columns.where(
        FACES.c.person_number == person_number,
        belongs(FACES, owner),
        FACES.c.id == known(face_id, EnrolledFaceNotFoundError),
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise EnrolledFaceNotFoundError
    return row


def known(text: str, missing: type[Exception]) -> str:
    """Return the canonical form of an id; one that is no id at all belongs to nothing."""
    parsed = parse_id(text)
    if parsed is None:
        raise missing
    return parsed
