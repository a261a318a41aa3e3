"""`Galleries`: people who are enrolled with their faces, and the search for a face among them.

A gallery is pinned to one embedding model: vectors of another model, or of another length, are refused with
EmbeddingMismatchError. Everything belongs to an owner (None: the anonymous caller of a single container); what
belongs to somebody else is not found. Deleting deletes: vectors leave the database and its files, crops leave the
blob store, and when the machine fails half-way :meth:`Galleries.sweep` finishes.

The vectors are rows, the search runs over one matrix per gallery in memory (cosine similarity, exact, every face).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from facecraft.db.database import Database
from facecraft.db.listing import Listing, check_limit, cut, decode_cursor
from facecraft.db.tables import FACES, GALLERIES, PEOPLE
from facecraft.errors import InvalidOptionError
from facecraft.galleries import deletion, rows, rules
from facecraft.galleries.adding import Also, of_the_first, unsaid
from facecraft.galleries.crops import Crops
from facecraft.galleries.matrices import Matrices
from facecraft.galleries.records import Details, EnrolledFace, Gallery, Match, NewFace, NewPerson, Person
from facecraft.galleries.search import Query, Search
from facecraft.storage import BlobStore

_DEFAULT_MEMORY = 1024 * 1024 * 1024


class Galleries:
    """Every gallery of one database. Safe to use from several threads and several processes.

    Every method raises StorageError when the database or the store of crops fails, and GalleryNotFoundError when
    the gallery does not exist or belongs to somebody else.
    """

    def __init__(
        self, database: Database, crops: BlobStore | None = None, *, memory_bytes: int = _DEFAULT_MEMORY
    ) -> None:
        """Work on a migrated ``database``.

        ``crops`` keeps the crops of faces, under keys that begin with ``galleries/``; no sweep by age may run over
        that store. ``memory_bytes`` bounds the matrices; a gallery that is larger is searched row by row.
        """
        self._database = database
        self._crops = Crops(database, crops)
        self._matrices = Matrices(database, memory_bytes)
        self._search = Search(database, self._matrices)

    # --- galleries

    def create(
        self,
        name: str,
        model_id: str,
        *,
        owner: str | None = None,
        dimension: int | None = None,
        added: Callable[[Gallery], Also] = unsaid,
    ) -> Gallery:
        """Make an empty gallery for the embeddings of one model.

        ``dimension`` is how long they are; without it the first face decides. Names need not differ. What ``added``
        returns is written with the gallery or not at all. Raises InvalidOptionError.
        """
        if dimension is not None and not 1 <= dimension <= rules.MAX_DIMENSION:
            raise InvalidOptionError(f"The dimension must lie between 1 and {rules.MAX_DIMENSION}.")
        name, model_id = rules.check_name(name), rules.check_model_id(model_id)
        with self._database.write() as connection:
            gallery_id = rows.insert_gallery(connection, name, model_id, dimension, owner)
            made = rows.select_gallery(connection, gallery_id, owner)
            added(made)(connection)
            return made

    def browse(self, *, owner: str | None = None, cursor: str | None = None, limit: int = 50) -> Listing[Gallery]:
        """List the owner's galleries, the oldest first; ``limit`` 1..200. Raises InvalidOptionError."""
        check_limit(limit)
        after = None if cursor is None else decode_cursor(cursor)
        with self._database.read() as connection:
            found = rows.select_galleries(connection, owner, after, limit + 1)
        return cut(found, limit, rows.to_gallery, lambda row: str(row.id))

    def get(self, gallery_id: str, *, owner: str | None = None) -> Gallery:
        """Return one gallery."""
        with self._database.read() as connection:
            return rows.select_gallery(connection, gallery_id, owner)

    def rename(self, gallery_id: str, name: str, *, owner: str | None = None) -> Gallery:
        """Give a gallery another name. Raises InvalidOptionError."""
        name = rules.check_name(name)
        with self._database.write() as connection:
            rows.rename_gallery(connection, gallery_id, owner, name)
            return rows.select_gallery(connection, gallery_id, owner)

    def delete(self, gallery_id: str, *, owner: str | None = None) -> None:
        """Delete a gallery with all its people, vectors and crops.

        It is out of sight at once. Crops that the store does not delete now are erased by a later :meth:`sweep`;
        then StorageError is raised.
        """
        with self._database.write() as connection:
            rows.hide_gallery(connection, gallery_id, owner)
        self._finish_deletions()

    # --- people

    def enroll(
        self,
        gallery_id: str,
        name: str,
        faces: Sequence[NewFace] = (),
        *,
        model_id: str,
        details: Details | None = None,
        owner: str | None = None,
        added: Callable[[Person], Also] = unsaid,
    ) -> Person:
        """Enroll one person with any number of faces, whose vectors are from ``model_id``.

        What ``added`` returns is written with the person or not at all. Raises EmbeddingMismatchError, InvalidOptionError, ConfigurationError (crops without a store).
        """
        person = NewPerson(name, tuple(faces), details or {})
        told = of_the_first(added)
        return self.enroll_many(gallery_id, [person], model_id=model_id, owner=owner, added=told)[0]

    def enroll_many(
        self,
        gallery_id: str,
        people: Sequence[NewPerson],
        *,
        model_id: str,
        owner: str | None = None,
        added: Callable[[tuple[Person, ...]], Also] = unsaid,
    ) -> tuple[Person, ...]:
        """Enroll several people in one transaction, all or none; at most 10,000 people and 10,000 faces.

        Raises like :meth:`enroll`.
        """
        if len(people) > rules.MAX_FACES_PER_CALL:
            raise InvalidOptionError(f"At most {rules.MAX_FACES_PER_CALL} people can be enrolled at once.")
        checked = [
            replace(one, name=rules.check_name(one.name), details=rules.check_details(one.details)) for one in people
        ]
        faces = [face for one in checked for face in one.faces]
        sources, vectors = [rules.check_source(face.source) for face in faces], rules.check_faces(faces)
        gallery_id = self._expect(gallery_id, owner, model_id, vectors)
        if not checked:
            return ()
        with (
            self._crops.stored(gallery_id, [face.crop for face in faces]) as keys,
            self._database.write() as connection,
        ):
            gallery = rows.change_faces(connection, gallery_id, owner)
            rows.pin(connection, gallery, model_id, vectors.shape[1])
            enrolled = rows.insert_people(connection, gallery.id, owner, checked)
            numbers = [number for (number, _), one in zip(enrolled, checked, strict=True) for _ in one.faces]
            rows.insert_faces(
                connection, gallery.id, owner, list(zip(numbers, vectors, keys, sources, strict=True)), rows.now()
            )
            self._crops.confirm(connection, keys)
            made = tuple(person for _, person in enrolled)
            added(made)(connection)
            return made

    def people(
        self, gallery_id: str, *, owner: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Listing[Person]:
        """List the people of a gallery in the order of their enrollment; ``limit`` 1..200.

        Raises InvalidOptionError.
        """
        check_limit(limit)
        after = None if cursor is None else decode_cursor(cursor)
        with self._database.read() as connection:
            gallery = rows.require_gallery(connection, gallery_id, owner)
            found = rows.select_people(connection, gallery.id, owner, after, limit + 1)
        return cut(found, limit, rows.to_person, lambda row: str(row.id))

    def person(self, gallery_id: str, person_id: str, *, owner: str | None = None) -> Person:
        """Return one person. Raises PersonNotFoundError."""
        with self._database.read() as connection:
            gallery = rows.require_gallery(connection, gallery_id, owner)
            return rows.to_person(rows.require_person(connection, gallery.id, owner, person_id))

    def update_person(
        self,
        gallery_id: str,
        person_id: str,
        *,
        name: str | None = None,
        details: Details | None = None,
        owner: str | None = None,
    ) -> Person:
        """Change the name or the details of a person; None leaves them. Raises PersonNotFoundError,
        InvalidOptionError."""
        values: dict[str, str | Details] = {}
        if name is not None:
            values["name"] = rules.check_name(name)
        if details is not None:
            values["details"] = rules.check_details(details)
        with self._database.write() as connection:
            gallery = rows.require_gallery(connection, gallery_id, owner)
            person = rows.require_person(connection, gallery.id, owner, person_id)
            if values:
                mine = PEOPLE.c.number == person.number
                connection.execute(sa.update(PEOPLE).where(mine).values(updated_at=rows.now(), **values))
            return rows.to_person(rows.require_person(connection, gallery.id, owner, person_id))

    def delete_person(self, gallery_id: str, person_id: str, *, owner: str | None = None) -> None:
        """Delete a person with all vectors and crops. Raises PersonNotFoundError.

        The person is gone when StorageError is raised by the store of crops: a later :meth:`sweep` erases these.
        """
        with self._database.write() as connection:
            gallery = rows.change_faces(connection, gallery_id, owner)
            person = rows.require_person(connection, gallery.id, owner, person_id)
            keys = deletion.delete_faces(connection, gallery.id, FACES.c.person_number == person.number)
            connection.execute(sa.delete(PEOPLE).where(PEOPLE.c.number == person.number))
        self._follow_deletion(gallery.id, keys)

    # --- faces

    def add_faces(
        self,
        gallery_id: str,
        person_id: str,
        faces: Sequence[NewFace],
        *,
        model_id: str,
        owner: str | None = None,
        added: Callable[[tuple[EnrolledFace, ...]], Also] = unsaid,
    ) -> tuple[EnrolledFace, ...]:
        """Add faces to a person; what ``added`` returns is written with them. Raises PersonNotFoundError, and like
        :meth:`enroll`."""
        sources, vectors = [rules.check_source(face.source) for face in faces], rules.check_faces(faces)
        gallery_id = self._expect(gallery_id, owner, model_id, vectors)
        with (
            self._crops.stored(gallery_id, [face.crop for face in faces]) as keys,
            self._database.write() as connection,
        ):
            gallery = rows.change_faces(connection, gallery_id, owner)
            rows.pin(connection, gallery, model_id, vectors.shape[1])
            person = rows.require_person(connection, gallery.id, owner, person_id)
            numbers, moment = [person.number] * len(faces), rows.now()
            ids = rows.insert_faces(
                connection, gallery.id, owner, list(zip(numbers, vectors, keys, sources, strict=True)), moment
            )
            self._crops.confirm(connection, keys)
            made = tuple(
                EnrolledFace(one, person.id, source, key is not None, moment)
                for one, source, key in zip(ids, sources, keys, strict=True)
            )
            added(made)(connection)
            return made

    def faces(
        self, gallery_id: str, person_id: str, *, owner: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Listing[EnrolledFace]:
        """List the faces of a person in the order of their enrollment; ``limit`` 1..200.

        Raises PersonNotFoundError, InvalidOptionError.
        """
        check_limit(limit)
        after = None if cursor is None else decode_cursor(cursor)
        with self._database.read() as connection:
            gallery = rows.require_gallery(connection, gallery_id, owner)
            person = rows.require_person(connection, gallery.id, owner, person_id)
            found = rows.select_faces(connection, person.number, owner, after, limit + 1)
        return cut(found, limit, partial(rows.to_face, person_id=person.id), lambda row: str(row.id))

    def some_faces(
        self, gallery_id: str, person_id: str, face_ids: Sequence[str], *, owner: str | None = None
    ) -> tuple[EnrolledFace, ...]:
        """Return some faces of a person, in the order of ``face_ids``. Raises PersonNotFoundError,
        EnrolledFaceNotFoundError."""
        with self._database.read() as connection:
            gallery = rows.require_gallery(connection, gallery_id, owner)
            person = rows.require_person(connection, gallery.id, owner, person_id)
            found = [rows.require_face(connection, person.number, owner, face_id) for face_id in face_ids]
        return tuple(rows.to_face(row, person.id) for row in found)

    def crop(self, gallery_id: str, person_id: str, face_id: str, *, owner: str | None = None) -> bytes:
        """Return the crop of a face as it was enrolled. Raises PersonNotFoundError, EnrolledFaceNotFoundError."""
        with self._database.read() as connection:
            gallery = rows.require_gallery(connection, gallery_id, owner)
            person = rows.require_person(connection, gallery.id, owner, person_id)
            key = rows.require_face(connection, person.number, owner, face_id).crop_key
        return self._crops.fetch(key)

    def delete_face(self, gallery_id: str, person_id: str, face_id: str, *, owner: str | None = None) -> None:
        """Delete one face with its vector and crop; the person stays.

        Raises PersonNotFoundError, EnrolledFaceNotFoundError; StorageError like :meth:`delete_person`.
        """
        with self._database.write() as connection:
            gallery = rows.change_faces(connection, gallery_id, owner)
            person = rows.require_person(connection, gallery.id, owner, person_id)
            face = rows.require_face(connection, person.number, owner, face_id)
            keys = deletion.delete_faces(connection, gallery.id, FACES.c.number == face.number)
        self._follow_deletion(gallery.id, keys)

    # --- search and upkeep

    def search(
        self,
        gallery_id: str,
        vectors: NDArray[np.float32],
        *,
        model_id: str,
        top_k: int = 5,
        threshold: float | None = None,
        owner: str | None = None,
    ) -> tuple[tuple[Match, ...], ...]:
        """Return, for each of N×D ``vectors`` of ``model_id``, the ``top_k`` people whose best face is most similar.

        Matches come by falling cosine similarity (-1..1), each person once; those below ``threshold`` are left out
        (None: nobody is). One vector may be given alone. N 1..256, ``top_k`` 1..1000.
        Raises EmbeddingMismatchError, InvalidOptionError.
        """
        if not 1 <= top_k <= rules.MAX_TOP_K:
            raise InvalidOptionError(f"top_k must lie between 1 and {rules.MAX_TOP_K}.")
        if threshold is not None and not -1.0 <= threshold <= 1.0:
            raise InvalidOptionError("The threshold must lie between -1 and 1.")
        probes = rules.check_probes(vectors)
        return self._search.people(gallery_id, owner, Query(probes, model_id, top_k, threshold))

    def sweep(self) -> int:
        """Finish deletions that were interrupted, and return how many crops were erased. To be run now and then.

        Raises StorageError when the database or the store of crops still fails.
        """
        self._matrices.drop_missing()
        self._finish_deletions()
        erased = self._crops.sweep()
        self._database.scrub()
        return erased

    def _expect(self, gallery_id: str, owner: str | None, model_id: str, vectors: NDArray[np.float32]) -> str:
        """Refuse vectors that do not fit before a crop is stored for them; return the gallery's own id."""
        with self._database.read() as connection:
            gallery = rows.require_gallery(connection, gallery_id, owner)
            rows.check_match(gallery, model_id, vectors.shape[1])
            return str(gallery.id)

    def _follow_deletion(self, gallery_id: str, keys: Sequence[str]) -> None:
        self._matrices.refresh(gallery_id)
        self._database.scrub()
        self._crops.erase(keys)

    def _finish_deletions(self) -> None:
        hidden = sa.select(GALLERIES.c.id).where(GALLERIES.c.deleted_at.is_not(None))
        with self._database.read() as connection:
            waiting = list(connection.execute(hidden).scalars())
        for gallery_id in waiting:
            self._matrices.drop(gallery_id)
            keys: list[str] = []
            while True:
                with self._database.write() as connection:
                    piece = deletion.delete_piece(connection, gallery_id)
                if piece is None:
                    break
                keys += piece
            self._database.scrub()
            self._crops.erase(keys)
