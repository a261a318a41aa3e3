"""Crops of enrolled faces: kept in a blob store, and never left behind there.

A store and a database do not commit together. So the key of a crop is written down as *to be erased* before the
crop is stored, and crossed out in the transaction that enrolls its face; it is written down again in the
transaction that deletes the face. Whatever breaks in between, :meth:`Crops.sweep` finds the key later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from facecraft.db.database import Database
from facecraft.db.ids import new_id
from facecraft.db.tables import ERASURES
from facecraft.errors import ConfigurationError, EnrolledFaceNotFoundError, StorageError
from facecraft.galleries.rows import chunks, now
from facecraft.storage import BlobNotFoundError, BlobStore

PREFIX = "galleries"
_GRACE = timedelta(hours=1)  # an enrollment that takes longer than this has died
_PIECE = 500


class Crops:
    """The crops of all galleries in one blob store."""

    def __init__(self, database: Database, blobs: BlobStore | None) -> None:
        self._database = database
        self._blobs = blobs

    @contextmanager
    def stored(self, gallery_id: str, crops: Sequence[bytes | None]) -> Iterator[list[str | None]]:
        """Store crops and yield their keys, None where there is none.

        Inside the block the faces are written and :meth:`confirm` is called in the same transaction; when the block
        raises, the crops are erased, unless that transaction was kept and only its answer was lost. Raises ConfigurationError without a store, StorageError.
        """
        keys = [None if crop is None else f"{PREFIX}/{gallery_id}/{new_id()}" for crop in crops]
        made = [key for key in keys if key is not None]
        if not made:
            yield keys
            return
        blobs = self._store()
        with self._database.write() as connection:
            connection.execute(sa.insert(ERASURES), [{"key": key, "due_at": now() + _GRACE} for key in made])
        enrolled = False
        try:
            for key, crop in zip(keys, crops, strict=True):
                if key is not None and crop is not None:
                    blobs.put(key, crop)
            yield keys
            enrolled = True
        finally:
            if not enrolled:
                with suppress(StorageError):  # the keys stay written down: a sweep erases them
                    self.erase(self._unconfirmed(made))

    def confirm(self, connection: Connection, keys: Sequence[str | None]) -> None:
        """Cross out the keys of crops whose faces are enrolled in this transaction. Raises StorageError."""
        made = [key for key in keys if key is not None]
        found = 0
        for part in chunks(made):
            found += connection.execute(sa.delete(ERASURES).where(ERASURES.c.key.in_(part))).rowcount
        if found != len(made):
            raise StorageError("Storing the crops took too long.", hint="Retry with fewer faces at once.")

    def fetch(self, key: str | None) -> bytes:
        """Return a crop. Raises EnrolledFaceNotFoundError when the face has none, StorageError."""
        if key is None:
            raise EnrolledFaceNotFoundError("The face was enrolled without a crop.")
        try:
            return self._store().get(key)
        except BlobNotFoundError as error:
            raise EnrolledFaceNotFoundError("The crop of the face is gone.") from error

    def erase(self, keys: Sequence[str]) -> None:
        """Delete crops whose keys are written down as to be erased, and cross them out. Raises StorageError."""
        for part in chunks(keys, _PIECE):
            blobs = self._store()
            for key in part:
                blobs.delete(key)
            with self._database.write() as connection:
                connection.execute(sa.delete(ERASURES).where(ERASURES.c.key.in_(part)))

    def sweep(self, *, moment: datetime | None = None) -> int:
        """Erase what is overdue at ``moment`` (default: now) and return how many crops that were.

        Raises StorageError.
        """
        due = sa.select(ERASURES.c.key).where(ERASURES.c.due_at <= (moment or now()))
        with self._database.read() as connection:
            keys = list(connection.execute(due).scalars())
        self.erase(keys)
        return len(keys)

    def _unconfirmed(self, keys: Sequence[str]) -> list[str]:
        with self._database.read() as connection:
            queries = (sa.select(ERASURES.c.key).where(ERASURES.c.key.in_(part)) for part in chunks(keys))
            return [key for query in queries for key in connection.execute(query).scalars()]

    def _store(self) -> BlobStore:
        if self._blobs is None:
            raise ConfigurationError("There is no store for crops.", hint="Enroll faces without crops.")
        return self._blobs
