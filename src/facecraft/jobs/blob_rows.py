"""What the database knows of stored bytes, and the statements of it that others put into their transactions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from facecraft.db.tables import BLOBS, JOB_INPUTS
from facecraft.errors import InputBlobNotFoundError, QuotaExceededError, StorageError

PLACED_WITHIN = timedelta(minutes=30)
"""A row is written so soon after its bytes, or not at all."""
SWEPT_AFTER = timedelta(minutes=1)
"""How long expired bytes still lie there: time for a transaction that read the row just before to end."""

BATCH = 500
"""Rows that one statement names."""

_LONGEST_NAME = 255
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Controls, line ends, and what turns the direction of a text (Unicode, UAX 9), which makes an .exe look like a .png."""
PartT = TypeVar("PartT")

_INSERT = BLOBS.insert()


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes and whose they are: an upload, or an artifact of a job."""

    id: str
    owner: str | None
    key: str
    """Where the bytes lie in the store; never shown to anybody."""
    job_id: str | None
    """Of an artifact: the job that made it."""
    position: int | None
    """Of an artifact: the item it was made from. None for an upload."""
    name: str | None
    """Of an artifact: its name. Of an upload: what the sender called it; never part of a key or a path."""
    media_type: str
    bytes: int
    created_at: datetime
    expires_at: datetime | None
    """From this moment on it is as good as deleted; None: kept."""


def present() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


def blob_of(row: Row[Any]) -> Blob:
    """Return the blob of a row of BLOBS."""
    return Blob(**row._asdict())


def clean_name(name: str | None) -> str | None:
    """Return what a sender called a file as everybody can keep and show it; None for what is no name.

    That is the last part of a path with either separator, without characters that are not seen, 255 at most.
    """
    if name is None:
        return None
    seen = _UNSEEN.sub("", name.encode("utf-8", "replace").decode())
    last = re.split(r"[/\\]", seen)[-1].strip()[:_LONGEST_NAME].rstrip()
    return None if last in ("", ".", "..") else last


def belongs(owner: str | None) -> sa.ColumnElement[bool]:
    """The condition that a blob is the caller's own; None is the anonymous caller."""
    return BLOBS.c.owner.is_(None) if owner is None else BLOBS.c.owner == owner


def alive(now: datetime | sa.BindParameter[datetime]) -> sa.ColumnElement[bool]:
    """The condition that a blob has not expired."""
    return sa.or_(BLOBS.c.expires_at.is_(None), BLOBS.c.expires_at > now)


def batches(parts: Sequence[PartT]) -> Iterator[Sequence[PartT]]:
    """Yield ``parts`` in pieces that a statement can name."""
    for start in range(0, len(parts), BATCH):
        yield parts[start : start + BATCH]


def place(connection: Connection, blobs: Sequence[Blob]) -> None:
    """Write the rows of blobs whose bytes are stored already, in the caller's transaction.

    Raises StorageError when that comes so late that the bytes may have been swept.
    """
    if not blobs:
        return
    if min(blob.created_at for blob in blobs) < present() - PLACED_WITHIN:
        raise StorageError("Storing the files took too long.", hint="Retry.")
    connection.execute(_INSERT, [asdict(blob) for blob in blobs])


def place_within(connection: Connection, blobs: Sequence[Blob], *, owner: str | None, quota_bytes: int | None) -> None:
    """Write the rows of what ``owner`` is given, as :func:`place` does. Raises QuotaExceededError, too."""
    check_quota(connection, owner, sum(blob.bytes for blob in blobs), quota_bytes)
    place(connection, blobs)


def place_and_hold(
    connection: Connection, blobs: Sequence[Blob], earlier: Sequence[str], *, owner: str | None, quota_bytes: int | None
) -> None:
    """Write the rows of the uploads of a job, and keep the ``earlier`` ones that it needs. Raises as both do alone."""
    place_within(connection, blobs, owner=owner, quota_bytes=quota_bytes)
    if earlier:
        hold(connection, owner, earlier)


def expire(connection: Connection, ids: Sequence[str], at: datetime | None = None) -> None:
    """Let blobs expire ``at`` a moment, by default at once; the next sweep deletes them then."""
    moment = at or present() - SWEPT_AFTER
    for part in batches(ids):
        connection.execute(BLOBS.update().where(BLOBS.c.id.in_(part)).values(expires_at=moment))


def hold(connection: Connection, owner: str | None, ids: Sequence[str]) -> None:
    """Keep blobs of ``owner`` that a job needs, until somebody lets them expire.

    Raises InputBlobNotFoundError when one of them is not there, is somebody else's or has expired: from then on no
    sweep takes any of them.
    """
    wanted = sorted(set(ids))
    held = 0
    for part in batches(wanted):
        mine = sa.and_(BLOBS.c.id.in_(part), belongs(owner), alive(present()))
        held += connection.execute(BLOBS.update().where(mine).values(expires_at=None)).rowcount
    if held != len(wanted):
        raise InputBlobNotFoundError


def lock(connection: Connection, which: sa.ColumnElement[bool]) -> None:
    """Wait for those who are about to hold any of these files; whoever comes later waits for us.

    Who needs a file is asked after this, in a statement of its own: one that had to wait for a row itself would still
    see who needed it before (Postgres, 13.2.1).
    """
    connection.execute(sa.select(BLOBS.c.id).where(which).order_by(BLOBS.c.id).with_for_update()).all()


def unneeded() -> sa.ColumnElement[bool]:
    """The condition that no job which has not ended needs a file that it shares with others."""
    return ~sa.exists().where(JOB_INPUTS.c.blob_id == BLOBS.c.id)


def used_bytes(connection: Connection, owner: str | None) -> int:
    """Return how many bytes are kept for ``owner``, results and uploads together."""
    total = sa.select(sa.func.coalesce(sa.func.sum(BLOBS.c.bytes), 0)).where(belongs(owner), alive(present()))
    return int(connection.execute(total).scalar_one())


def check_quota(connection: Connection, owner: str | None, more: int, quota_bytes: int | None) -> None:
    """Make sure that ``more`` bytes may be kept for ``owner``; None: any amount. Raises QuotaExceededError.

    In a write transaction nobody else of the same owner gets past this until it ends: SQLite has one writer, on
    Postgres they wait for each other.
    """
    if quota_bytes is None:
        return
    if connection.dialect.name == "postgresql":
        mark = f"facecraft quota {'' if owner is None else owner!r}"
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(mark, 0))))
    if used_bytes(connection, owner) + more > quota_bytes:
        raise QuotaExceededError
