"""Forgetting jobs: their rows go, and their files with them unless another job needs these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from facecraft.db.database import Database
from facecraft.db.tables import BLOBS, JOB_ITEMS, JOBS
from facecraft.jobs import blob_rows, rows
from facecraft.jobs.job import ENDED, Item, JobState

_THESE_JOBS: sa.BindParameter[str] = sa.bindparam("the_jobs", expanding=True)
_THESE_BLOBS: sa.BindParameter[str] = sa.bindparam("the_blobs", expanding=True)
_ITEMS = sa.select(JOB_ITEMS).where(JOB_ITEMS.c.job_id.in_(_THESE_JOBS))
_LOCK_ARTIFACTS = sa.select(BLOBS.c.id).where(BLOBS.c.job_id.in_(_THESE_JOBS)).order_by(BLOBS.c.id).with_for_update()
_FREE_ARTIFACTS = sa.select(BLOBS.c.id).where(BLOBS.c.job_id.in_(_THESE_JOBS), blob_rows.unneeded())
_FREE_UPLOADS = sa.select(BLOBS.c.id).where(BLOBS.c.id.in_(_THESE_BLOBS), blob_rows.unneeded())
_LET_GO = BLOBS.update().where(BLOBS.c.job_id.in_(_THESE_JOBS), blob_rows.unneeded())
_DELETE = JOBS.delete().where(JOBS.c.id.in_(_THESE_JOBS))

AT_ONCE = 50
"""Pictures whose jobs are forgotten in one transaction: some 20 ms in which nobody else may write to SQLite."""
# Neither asks for the state of a job: SQLite would go through the index of all that have ended.
_LIST_EXPIRED = (
    sa.select(JOBS.c.id, JOBS.c.total)
    .where(JOBS.c.expires_at < sa.bindparam("the_moment"))
    .order_by(JOBS.c.expires_at)
    .limit(sa.bindparam("most"))
)
_HOLD = (
    sa.select(JOBS.c.id, JOBS.c.state, JOBS.c.expires_at)
    .where(JOBS.c.id.in_(_THESE_JOBS))
    .order_by(JOBS.c.id)
    .with_for_update(skip_locked=True)
)


def forget(connection: Connection, job_ids: Sequence[str], now: datetime, expiry: datetime | None) -> tuple[str, ...]:
    """Delete the rows of jobs that the caller holds; their blobs expire now, and lose them.

    Uploads that they shared expire at ``expiry``; what another job needs that has not ended is left to it. Returns the
    blobs whose bytes may be deleted now. Several jobs cost hardly more than one: statements, not rows, take the time.
    """
    these = {"the_jobs": list(job_ids)}
    items: dict[str, list[Item]] = {}
    for row in connection.execute(_ITEMS, these):
        items.setdefault(row.job_id, []).append(rows.item_of(row))
    every = [item for own in items.values() for item in own]
    shared = sorted(rows.shared(every))
    if len(items) > 1 and shared:
        # In one order for all of the jobs: another transaction may hold some of these files and want others.
        blob_rows.lock(connection, BLOBS.c.id.in_(shared))
    rows.expire_inputs(connection, every, now)
    for job_id, own in items.items():
        rows.release_inputs(connection, job_id, own, expiry)
    connection.execute(_LOCK_ARTIFACTS, these)
    free = list(connection.execute(_FREE_ARTIFACTS, these).scalars())
    sent = sorted({given.blob_id for item in every for given in item.inputs.values() if given.temporary})
    for part in blob_rows.batches(sent):
        free += connection.execute(_FREE_UPLOADS, {"the_blobs": part}).scalars()
    connection.execute(_LET_GO, {**these, "expires_at": now})
    connection.execute(_DELETE, these)
    return tuple(free)


def forget_expired(database: Database, now: datetime, expiry: datetime | None, *, limit: int) -> int:
    """Forget jobs whose time is over, ``limit`` at most, in short transactions; return how many. Raises StorageError."""
    with database.read() as connection:
        rows_ = connection.execute(_LIST_EXPIRED, {"the_moment": now, "most": limit})
        listed = [(row.id, row.total) for row in rows_]
    forgotten = 0
    for part in _parts(listed):
        with database.write() as connection:
            # Somebody may have tried one again since it was listed, or be forgetting it at this moment.
            held = connection.execute(_HOLD, {"the_jobs": part})
            over = [row.id for row in held if JobState(row.state) in ENDED and row.expires_at < now]
            if over:
                forget(connection, over, now, expiry)
        forgotten += len(over)
    return forgotten


def _parts(listed: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    """Divide jobs, with how many pictures each has, so that each part has :data:`AT_ONCE` pictures at most, or is a single job."""
    part: list[str] = []
    pictures = 0
    for job_id, total in listed:
        if part and pictures + total > AT_ONCE:
            yield part
            part, pictures = [], 0
        part.append(job_id)
        pictures += total
    if part:
        yield part
