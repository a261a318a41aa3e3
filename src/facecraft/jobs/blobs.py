"""`Blobs`: uploads and artifacts; their bytes in a store, and whose they are in the database.

A store and a database do not commit together. So the bytes are written first, under a key that was never used
before, and their row after them; when they are deleted, the row goes last. A row therefore always says where bytes
are, or were until somebody died while deleting them: then the row has expired, nobody is shown it any more, and the
next sweep finishes what was begun. What can be left behind are bytes whose row was never written.
:meth:`Blobs.sweep_orphans` finds these by listing the store: they have no row and are older than an hour, while
:func:`~facecraft.jobs.blob_rows.place` refuses to write a row later than half an hour after its bytes.

Keys are ``blobs/{two digits}/{id}``: the id is the row's own (UUIDv7), the digits are its last two, so that no folder
gets large. Nothing that a client sent is part of a key.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, BinaryIO
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from facecraft.db.database import Database
from facecraft.db.ids import new_id, parse_id
from facecraft.db.tables import BLOBS
from facecraft.db.types import UtcDateTime
from facecraft.errors import ArtifactNotFoundError, FacecraftError, InputBlobNotFoundError, JobError, StorageError
from facecraft.jobs import blob_rows as rows
from facecraft.jobs.blob_rows import Blob
from facecraft.jobs.performing import Product, artifact_name
from facecraft.jobs.repository import Also, nothing
from facecraft.storage import BlobNotFoundError, BlobStore

PREFIX = "blobs"
ORPHAN_AGE = timedelta(hours=1)
"""Bytes that are older than this and have no row will never have one."""
MOST_SWEPT = 20_000
"""Most blobs that one sweep deletes; the next goes on."""

_ONE = sa.select(BLOBS).where(BLOBS.c.id == sa.bindparam("the_blob"))
_ARTIFACTS = (
    sa.select(BLOBS)
    .where(BLOBS.c.job_id == sa.bindparam("the_job"), rows.alive(sa.bindparam("the_moment", type_=UtcDateTime())))
    .order_by(BLOBS.c.position, BLOBS.c.id)
)


def unsaid(blob: Blob, /) -> Also:  # noqa: ARG001 - the null form
    """Write nothing about a new blob."""
    return nothing


class Blobs:
    """Uploads and artifacts of all callers. Safe to use from several threads and processes."""

    def __init__(self, database: Database, store: BlobStore, *, quota_bytes: int | None = None) -> None:
        """``quota_bytes`` is how much jobs may keep for one owner, uploads included (None: any amount)."""
        self.quota_bytes = quota_bytes
        self._database = database
        self._store = store

    # --- keeping

    def receive(
        self,
        owner: str | None,
        source: bytes | BinaryIO,
        *,
        name: str | None,
        media_type: str,
        expires_at: datetime | None,
        quota_bytes: int | None = None,
        added: Callable[[Blob], Also] = unsaid,
    ) -> Blob:
        """Keep what a caller uploaded: bytes, or a file from where it stands. A file is never held in memory whole.

        What ``added`` returns for the new blob is written with it or not at all. Raises QuotaExceededError when
        ``owner`` would have more than ``quota_bytes``, before anything is stored where the size can be known;
        StorageError.
        """
        if quota_bytes is not None:
            with self._database.read() as connection:
                rows.check_quota(connection, owner, _size(source), quota_bytes)
        blob = self._write(source, _new(owner, rows.clean_name(name), media_type, expires_at=expires_at))
        with self._undone(blob), self._database.write() as connection:
            rows.check_quota(connection, owner, blob.bytes, quota_bytes)
            rows.place(connection, [blob])
            added(blob)(connection)
        return blob

    def stage(self, owner: str | None, source: bytes | BinaryIO, *, name: str | None, media_type: str) -> Blob:
        """Store the bytes of an upload that a job needs, and return the blob, of which nobody knows yet.

        As with :meth:`save` the caller writes its row, in the transaction that makes the job. Raises StorageError.
        """
        return self._write(source, _new(owner, rows.clean_name(name), media_type))

    def save(
        self, owner: str | None, job_id: str, products: Sequence[Product], *, position: int, total: int
    ) -> tuple[Blob, ...]:
        """Store what was made of the item ``position`` of ``total``: all of it or nothing. Nobody knows of it yet.

        The caller writes the rows within half an hour: :func:`~facecraft.jobs.blob_rows.place` in the transaction
        that ends the item. When that fails it calls :meth:`discard`; when it dies, a sweep finds the bytes.
        Raises StorageError.
        """
        saved: list[Blob] = []
        try:
            for product in products:
                name = artifact_name(product.name, position, total)
                new = _new(owner, name, product.media_type, job_id=job_id, position=position)
                saved.append(self._write(product.data, new))
        finally:
            if len(saved) < len(products):
                self.discard(saved)
        return tuple(saved)

    def discard(self, blobs: Sequence[Blob]) -> None:
        """Forget bytes that were saved and never placed. A store that is away is no error: a sweep finds them."""
        with suppress(StorageError):
            self._store.delete_all(blob.key for blob in blobs)

    # --- fetching

    def get(self, owner: str | None, blob_id: str) -> Blob:
        """Return a blob of ``owner``. Raises InputBlobNotFoundError, for those of others too; StorageError."""
        with self._database.read() as connection:
            return _mine(connection, owner, blob_id)

    def artifacts(self, job_id: str) -> tuple[Blob, ...]:
        """Return what a job has made, in the order of its items. Whose job it is the caller knows."""
        return self._artifacts(_ARTIFACTS, job_id)

    def artifact(self, job_id: str, name: str, position: int | None = None) -> Blob:
        """Return one artifact of a job by its name, of the first item that has one or of the item ``position``.

        Whose job it is the caller knows. Raises ArtifactNotFoundError.
        """
        wanted = _ARTIFACTS.where(BLOBS.c.name == name).limit(1)
        if position is not None:
            wanted = wanted.where(BLOBS.c.position == position)
        found = self._artifacts(wanted, job_id)
        if not found:
            raise ArtifactNotFoundError
        return found[0]

    def read(self, blob: Blob) -> bytes:
        """Return the bytes. Raises InputBlobNotFoundError or ArtifactNotFoundError when they are gone, StorageError."""
        with _gone(blob):
            return self._store.get(blob.key)

    def stream(self, blob: Blob) -> Iterator[bytes]:
        """Return the bytes a piece at a time. Raises as :meth:`read` before the first; StorageError later."""
        with _gone(blob):
            return self._store.stream(blob.key)

    def presign(self, blob: Blob, seconds: int) -> str | None:
        """Return a link that downloads the bytes for so many seconds, never beyond the blob's own end.

        None when the store cannot, and for 0 seconds.
        """
        if blob.expires_at is not None:
            seconds = min(seconds, int((blob.expires_at - rows.present()).total_seconds()))
        if seconds < 1:
            return None
        name = blob.name or blob.id
        return self._store.presign(blob.key, seconds, filename=name, media_type=blob.media_type)

    def used_bytes(self, owner: str | None) -> int:
        """Return how many bytes are kept for ``owner``, results and uploads together."""
        with self._database.read() as connection:
            return rows.used_bytes(connection, owner)

    # --- forgetting

    def delete(self, owner: str | None, blob_id: str) -> None:
        """Delete a blob of ``owner``. Raises InputBlobNotFoundError, for those of others too.

        When the store is away it raises StorageError: the blob is gone for everybody, a sweep deletes the bytes.
        """
        with self._database.write() as connection:
            found = _mine(connection, owner, blob_id)
            rows.expire(connection, [found.id])
        self.erase([found])

    def erase(self, blobs: Sequence[Blob]) -> None:
        """Delete blobs that nobody is shown any more: the bytes, then the rows. Raises StorageError."""
        for part in rows.batches(blobs):
            self._store.delete_all(blob.key for blob in part)
            with self._database.write() as connection:
                connection.execute(BLOBS.delete().where(BLOBS.c.id.in_([blob.id for blob in part])))

    def erase_ids(self, ids: Sequence[str]) -> None:
        """Delete blobs by their ids, as :meth:`erase` does; those that are gone already are passed over."""
        for part in rows.batches(ids):
            with self._database.read() as connection:
                found = [rows.blob_of(row) for row in connection.execute(sa.select(BLOBS).where(BLOBS.c.id.in_(part)))]
            self.erase(found)

    def sweep(self, now: datetime | None = None) -> int:
        """Delete what has expired, and artifacts whose job is gone and that no other needs; return how many that were.

        What a queued or running job needs does not expire (:func:`~facecraft.jobs.blob_rows.hold`). Deletes 20,000
        at most; several processes may sweep at once. Raises StorageError.
        """
        limit = (now or rows.present()) - rows.SWEPT_AFTER
        orphaned = sa.and_(BLOBS.c.job_id.is_(None), BLOBS.c.position.is_not(None), rows.unneeded())
        due = sa.select(BLOBS).where(sa.or_(BLOBS.c.expires_at <= limit, orphaned)).limit(rows.BATCH)
        swept = 0
        while swept < MOST_SWEPT:
            with self._database.read() as connection:
                found = [rows.blob_of(row) for row in connection.execute(due)]
            self.erase(found)
            swept += len(found)
            if len(found) < rows.BATCH:
                break
        return swept

    def sweep_orphans(self, now: datetime | None = None) -> int:
        """Delete bytes that are older than an hour and have no row; return how many blobs that were.

        Lists everything that is stored: once an hour is often enough. Deletes 20,000 at most. Raises StorageError.
        """
        limit = (now or rows.present()) - ORPHAN_AGE
        self._store.tidy(limit)
        orphans: list[str] = []
        old: list[str] = []
        for info in self._store.find(PREFIX):
            made = _made_at(info.key)
            if made is not None and made < limit.timestamp() and info.modified < limit:
                old.append(info.key)
            if len(old) == rows.BATCH:
                orphans += self._without_row(old)
                old.clear()
            if len(orphans) >= MOST_SWEPT:
                break
        orphans += self._without_row(old)
        self._store.delete_all(orphans)
        return len(orphans)

    # --- steps of the above

    def _write(self, source: bytes | BinaryIO, new: Blob) -> Blob:
        """Store the bytes of ``new`` and return it with their number."""
        if isinstance(source, bytes):
            self._store.put(new.key, source, media_type=new.media_type)
            return replace(new, bytes=len(source))
        return replace(new, bytes=self._store.put_file(new.key, source, media_type=new.media_type))

    @contextmanager
    def _undone(self, blob: Blob) -> Iterator[None]:
        try:
            yield
        except StorageError:
            # The commit may have been done all the same: a sweep finds bytes of which nobody knows.
            raise
        except FacecraftError:
            self.discard([blob])
            raise

    def _artifacts(self, wanted: sa.Select[Any], job_id: str) -> tuple[Blob, ...]:
        values = {"the_job": job_id, "the_moment": rows.present()}
        with self._database.read() as connection:
            return tuple(rows.blob_of(row) for row in connection.execute(wanted, values))

    def _without_row(self, keys: Sequence[str]) -> list[str]:
        with self._database.read() as connection:
            known = set(connection.execute(sa.select(BLOBS.c.key).where(BLOBS.c.key.in_(keys))).scalars())
        return [key for key in keys if key not in known]


def _new(
    owner: str | None,
    name: str | None,
    media_type: str,
    *,
    job_id: str | None = None,
    position: int | None = None,
    expires_at: datetime | None = None,
) -> Blob:
    """Return a blob without bytes, under a key that was never used before."""
    blob_id = new_id()
    key = f"{PREFIX}/{blob_id[-2:]}/{blob_id}"
    return Blob(blob_id, owner, key, job_id, position, name, media_type, 0, rows.present(), expires_at)


def _mine(connection: Connection, owner: str | None, blob_id: str) -> Blob:
    """Return one blob of ``owner`` that has not expired. Raises InputBlobNotFoundError, for what is no id too."""
    known = parse_id(blob_id)
    row = connection.execute(_ONE, {"the_blob": known}).one_or_none() if known else None
    if row is None or row.owner != owner or (row.expires_at is not None and row.expires_at <= rows.present()):
        raise InputBlobNotFoundError
    return rows.blob_of(row)


@contextmanager
def _gone(blob: Blob) -> Iterator[None]:
    """Say of bytes that are not where the row says which kind of thing is not there."""
    missing: type[JobError] = InputBlobNotFoundError if blob.position is None else ArtifactNotFoundError
    try:
        yield
    except BlobNotFoundError as error:
        raise missing(detail=f"the bytes of {blob.id} are gone") from error


def _made_at(key: str) -> float | None:
    """Return when a key was made, in seconds since 1970, by the time in its id; None when it is not one of these."""
    known = parse_id(key.rpartition("/")[2])
    return None if known is None else (UUID(known).int >> 80) / 1000


def _size(source: bytes | BinaryIO) -> int:
    """Return how many bytes are still to be read; 0 when that is not known before they are."""
    if isinstance(source, bytes):
        return len(source)
    if not source.seekable():
        return 0
    start = source.tell()
    end = source.seek(0, io.SEEK_END)
    source.seek(start)
    return end - start
