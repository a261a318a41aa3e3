"""The matrices of the galleries that were searched lately, kept in step with the database.

The database is the truth and this is a copy. Every change of a gallery's faces counts its ``revision`` up in the
same transaction, in whatever process it happens; a search compares the revision and loads what is new: faces with
a higher number than the newest it has, and removals likewise. Numbers within a gallery grow in the order of the
changes, because its writers wait for each other.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from facecraft.db.database import Database
from facecraft.db.tables import FACES, GALLERIES, REMOVALS
from facecraft.errors import GalleryNotFoundError
from facecraft.galleries.matrix import Numbers, VectorMatrix, row_bytes
from facecraft.galleries.rules import from_bytes

_CHUNK = 4096


class Gate:
    """Many readers at once, or one writer alone; a writer that waits goes before new readers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._writing = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the gate open for reading."""
        with self._changed:
            while self._writing:
                self._changed.wait()
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait until nobody reads, and keep everybody out."""
        with self._changed:
            while self._writing:
                self._changed.wait()
            self._writing = True
            while self._readers:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()


@dataclass(eq=False)
class _Resident:
    """One matrix, and how far it has followed the database."""

    matrix: VectorMatrix | None = None
    revision: int = -1
    last_face: int = 0
    last_removal: int = 0
    gate: Gate = field(default_factory=Gate)
    loading: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class _State:
    revision: int
    forgotten_removal: int
    dimension: int


class Matrices:
    """A cache of matrices, bounded in bytes; the least recently searched are dropped. Safe to use from threads."""

    def __init__(self, database: Database, budget: int) -> None:
        self._database = database
        self._budget = budget
        self._residents: OrderedDict[str, _Resident] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of memory that all matrices take."""
        with self._lock:
            return self._total()

    def holds(self, connection: Connection, gallery_id: str, dimension: int) -> bool:
        """Whether a gallery is in memory, or is small enough to be."""
        with self._lock:
            if gallery_id in self._residents:
                return True
        return count_faces(connection, gallery_id) * row_bytes(dimension) <= self._budget

    @contextmanager
    def current(self, gallery_id: str, revision: int) -> Iterator[VectorMatrix]:
        """Yield the matrix of a gallery at ``revision`` or later; it does not change inside the block.

        Raises GalleryNotFoundError, StorageError.
        """
        with self._lock:
            resident = self._residents.setdefault(gallery_id, _Resident())
            self._residents.move_to_end(gallery_id)
        while True:
            with resident.gate.shared():
                if resident.matrix is not None and resident.revision >= revision:
                    yield resident.matrix
                    return
            with resident.loading:
                if resident.matrix is None or resident.revision < revision:
                    self._load(gallery_id, resident)
            self._make_room()

    def refresh(self, gallery_id: str) -> None:
        """Follow the database now, when the gallery is in memory: deleted vectors leave it at once."""
        with self._lock:
            resident = self._residents.get(gallery_id)
        if resident is not None:
            with resident.loading:
                if resident.matrix is not None:
                    self._load(gallery_id, resident)

    def drop(self, gallery_id: str) -> None:
        """Forget a gallery."""
        with self._lock:
            self._residents.pop(gallery_id, None)

    def drop_missing(self) -> None:
        """Forget the galleries that another process has deleted."""
        with self._lock:
            here = list(self._residents)
        if not here:
            return
        query = sa.select(GALLERIES.c.id).where(GALLERIES.c.id.in_(here), GALLERIES.c.deleted_at.is_(None))
        with self._database.read() as connection:
            there = set(connection.execute(query).scalars())
        for gallery_id in set(here) - there:
            self.drop(gallery_id)

    def _total(self) -> int:
        return sum(one.matrix.nbytes for one in self._residents.values() if one.matrix is not None)

    def _make_room(self) -> None:
        with self._lock:
            # The newest goes too when it alone has outgrown the budget: its next search reads the rows piece by piece.
            while self._residents and self._total() > self._budget:
                self._residents.popitem(last=False)

    def _load(self, gallery_id: str, resident: _Resident) -> None:
        with self._database.read() as connection:
            state = _state(connection, gallery_id)
            if resident.matrix is None or resident.last_removal < state.forgotten_removal:
                with resident.gate.exclusive():
                    resident.matrix, resident.revision = None, -1  # the memory is free before the new matrix takes it
                matrix = VectorMatrix(state.dimension, count_faces(connection, gallery_id))
                last_face = 0
                for numbers, people, vectors in stored_vectors(connection, gallery_id, state.dimension):
                    matrix.append(vectors, numbers, people)
                    last_face = int(numbers[-1])
                last_removal = max(state.forgotten_removal, _newest_removal(connection, gallery_id))
                with resident.gate.exclusive():
                    resident.matrix, resident.revision = matrix, state.revision
                    resident.last_face, resident.last_removal = last_face, last_removal
                return
            added = list(stored_vectors(connection, gallery_id, state.dimension, after=resident.last_face))
            removed = _removals(connection, gallery_id, resident.last_removal)
        with resident.gate.exclusive():
            for numbers, people, vectors in added:
                resident.matrix.append(vectors, numbers, people)
                resident.last_face = int(numbers[-1])
            if removed:
                resident.matrix.remove(np.array([face for _, face in removed], np.int64))
                resident.last_removal = removed[-1][0]
            resident.revision = state.revision


def stored_vectors(
    connection: Connection, gallery_id: str, dimension: int, after: int = 0
) -> Iterator[tuple[Numbers, Numbers, NDArray[np.float32]]]:
    """Yield the faces with numbers above ``after`` in rising order, in chunks of face numbers, person numbers and
    M×D vectors."""
    columns = sa.select(FACES.c.number, FACES.c.person_number, FACES.c.vector)
    while True:
        query = columns.where(FACES.c.gallery_id == gallery_id, FACES.c.number > after)
        rows = connection.execute(query.order_by(FACES.c.number).limit(_CHUNK)).all()
        if not rows:
            return
        numbers = np.array([row.number for row in rows], np.int64)
        people = np.array([row.person_number for row in rows], np.int64)
        yield numbers, people, from_bytes([row.vector for row in rows], dimension)
        after = int(numbers[-1])


def _state(connection: Connection, gallery_id: str) -> _State:
    query = sa.select(GALLERIES.c.revision, GALLERIES.c.forgotten_removal, GALLERIES.c.dimension)
    row = connection.execute(query.where(GALLERIES.c.id == gallery_id, GALLERIES.c.deleted_at.is_(None))).one_or_none()
    if row is None:
        raise GalleryNotFoundError
    return _State(row.revision, row.forgotten_removal, row.dimension or 0)


def count_faces(connection: Connection, gallery_id: str) -> int:
    """Return how many faces a gallery has."""
    return connection.execute(sa.select(sa.func.count()).where(FACES.c.gallery_id == gallery_id)).scalar_one()


def _newest_removal(connection: Connection, gallery_id: str) -> int:
    query = sa.select(sa.func.max(REMOVALS.c.number)).where(REMOVALS.c.gallery_id == gallery_id)
    return connection.execute(query).scalar_one() or 0


def _removals(connection: Connection, gallery_id: str, after: int) -> list[tuple[int, int]]:
    query = sa.select(REMOVALS.c.number, REMOVALS.c.face_number).where(
        REMOVALS.c.gallery_id == gallery_id, REMOVALS.c.number > after
    )
    rows = connection.execute(query.order_by(REMOVALS.c.number)).all()
    return [(row.number, row.face_number) for row in rows]
