"""What waits in the queues: how much, since when, and who is before whom. Nothing here reads all that waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from facecraft.db.tables import JOBS
from facecraft.db.types import Id, UtcDateTime
from facecraft.errors import BusyError
from facecraft.jobs.job import Job, JobState

_WAITS = JOBS.c.state == JobState.QUEUED.value
_SOME = sa.select(sa.literal(1)).where(_WAITS).limit(sa.bindparam("most"))
_WAITING = sa.select(sa.func.count()).select_from(_SOME.subquery())
_WAITING_OF_OWNER = sa.select(sa.func.count()).select_from(
    _SOME.where(JOBS.c.owner == sa.bindparam("the_owner")).subquery()
)
_AHEAD = sa.select(sa.func.count()).where(
    _WAITS,
    JOBS.c.queue == sa.bindparam("the_queue"),
    sa.tuple_(JOBS.c.due_at, JOBS.c.id)
    < sa.tuple_(sa.bindparam("due", type_=UtcDateTime()), sa.bindparam("id", type_=Id)),
)


_DEPTHS = (
    sa.select(JOBS.c.queue, sa.func.count().label("waiting"), sa.func.min(JOBS.c.due_at).label("oldest"))
    .where(_WAITS)
    .group_by(JOBS.c.queue)
)


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits in a queue."""

    queue: str
    waiting: int
    oldest: datetime | None
    """Since when its oldest job could have been started."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many jobs may wait."""

    most: int = 10_000
    most_of_owner: int = 1_000
    """Those of one user among them."""

    def check(self, connection: Connection, owner: str | None) -> None:
        """Make sure that one more job of ``owner`` may wait. Raises BusyError."""
        if _reaches(connection, _WAITING, self.most):
            raise BusyError("The queue of jobs is full.")
        # Nobody is bounded who may be everybody: where there are no users, all callers are the anonymous one.
        if owner is not None and _reaches(connection, _WAITING_OF_OWNER, self.most_of_owner, the_owner=owner):
            raise BusyError("Too many of your jobs wait already.", hint="Come again when some of them have ended.")


def position(connection: Connection, job: Job) -> int | None:
    """Return how many jobs are taken up before ``job`` and itself: 1 is next; None when it does not wait."""
    if job.state is not JobState.QUEUED:
        return None
    values = {"the_queue": job.queue, "due": job.due_at, "id": job.id}
    return int(connection.execute(_AHEAD, values).scalar_one()) + 1


def _reaches(connection: Connection, counted: sa.Select[int], limit: int, **values: str) -> bool:
    """Whether there are ``limit`` jobs of this condition; no more of them are counted."""
    return int(connection.execute(counted, {"most": limit, **values}).scalar_one()) >= limit


def depths(connection: Connection) -> tuple[Depth, ...]:
    """Return how much waits in each queue that is not empty."""
    return tuple(Depth(row.queue, row.waiting, row.oldest) for row in connection.execute(_DEPTHS))
