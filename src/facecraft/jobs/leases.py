"""`Leases`: what workers do with jobs. Whoever holds the lease of a job may write to it, and nobody else.

A lease runs out unless it is renewed. A worker that dies stops renewing, and the job goes back to the queue; a
worker that was only slow finds its lease gone at its next write and gives up. So a job is never finished twice,
and never written to by two workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from facecraft.db.ids import new_id
from facecraft.db.tables import JOBS
from facecraft.db.types import UtcDateTime
from facecraft.errors import CancelledError, JobAbandonedError, LeaseLostError
from facecraft.jobs import rows
from facecraft.jobs.job import Delay, Failure, Item, JobState, Lease
from facecraft.jobs.repository import Also, JobRepository, nothing


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a worker learns when it renews its leases."""

    lost: frozenset[str]
    """Tokens of leases that are no longer its own."""
    unwanted: frozenset[str]
    """Tokens of leases whose jobs somebody asked to stop."""


_DUE = (
    sa.select(JOBS.c.id, JOBS.c.due_at)
    .where(
        JOBS.c.state == JobState.QUEUED.value,
        JOBS.c.queue == sa.bindparam("the_queue"),  # of several queues at once the database would sort all that waits
        JOBS.c.due_at <= sa.bindparam("the_moment"),
    )
    .order_by(JOBS.c.due_at, JOBS.c.id)
    .limit(1)
)
_DUE_AND_FREE = _DUE.with_for_update(skip_locked=True)
_HELD = (JOBS.c.lease == sa.bindparam("the_lease"), JOBS.c.state == JobState.RUNNING.value)
_TAKE = rows.changing(
    JOBS.c.state == JobState.QUEUED.value,
    JOBS.c.due_at <= sa.bindparam("the_moment"),
    attempt=JOBS.c.attempt + 1,
    started_at=sa.func.coalesce(JOBS.c.started_at, sa.bindparam("the_moment", type_=UtcDateTime())),
)
_TELL = rows.changing(*_HELD)
_END_ITEM = {
    JobState.SUCCEEDED: rows.changing(*_HELD, succeeded=JOBS.c.succeeded + 1),
    JobState.FAILED: rows.changing(*_HELD, failed=JOBS.c.failed + 1),
}
_LOOK = sa.select(JOBS.c.cancel_at, JOBS.c.delayed_since).where(JOBS.c.id == sa.bindparam("the_job"), *_HELD)
_CHECK = _LOOK.with_for_update()
_RENEW = JOBS.update().where(JOBS.c.id == sa.bindparam("the_job"), *_HELD).returning(JOBS.c.cancel_at)
_REQUEUE = rows.changing()
_REQUEUE_AND_FORGET = rows.changing(attempt=JOBS.c.attempt - 1)
"""As if the attempt had not been made."""


@dataclass(frozen=True, slots=True)
class End:
    """How a job ends."""

    state: JobState
    failure: Failure | None = None


SHORTEST_DELAY = timedelta(seconds=2)
LONGEST_DELAY = timedelta(minutes=5)
PATIENCE = 21_600.0


class Leases:
    """The workers' side of a :class:`JobRepository`."""

    def __init__(
        self, jobs: JobRepository, *, seconds: float = 30.0, max_attempts: int = 3, patience: float = PATIENCE
    ) -> None:
        """``patience`` is for how many seconds a job waits for what it needs."""
        self._end = jobs.ending
        self._database = jobs.database
        self._clock = jobs.clock
        self._time = timedelta(seconds=seconds)
        self._max_attempts = max_attempts
        self._patience = timedelta(seconds=patience)
        self.seconds = seconds

    def claim(self, queues: Sequence[str], worker_id: str) -> Lease | None:
        """Take the job that has waited longest in any of ``queues``; None when nothing is due."""
        now = self._clock()
        with self._database.read() as connection:
            # A look that takes no lock: most looks at a queue find it empty.
            looks = ((queue, connection.execute(_DUE, {"the_queue": queue, "the_moment": now})) for queue in queues)
            oldest = sorted((row.due_at, row.id, queue) for queue, found in looks if (row := found.first()) is not None)
        if not oldest:
            return None
        with self._database.write() as connection:
            for *_, queue in oldest:
                row = connection.execute(_DUE_AND_FREE, {"the_queue": queue, "the_moment": now}).one_or_none()
                if row is not None:
                    return self._take(connection, row.id, worker_id, now)
        return None

    def _take(self, connection: Connection, job_id: str, worker_id: str, now: datetime) -> Lease | None:
        token = new_id()
        until = now + self._time
        values = {
            "state": JobState.RUNNING.value,
            "the_moment": now,
            "lease": token,
            "lease_until": until,
            "worker_id": worker_id,
        }
        row = rows.change(connection, _TAKE, job_id, values, event=JobState.RUNNING.value, now=now)
        return None if row is None else Lease(rows.job_of(row), token, until)

    def items(self, lease: Lease) -> tuple[Item, ...]:
        """Return the items of the job."""
        with self._database.read() as connection:
            return rows.items_of(connection, lease.job.id)

    def renew(self, leases: Sequence[Lease]) -> Renewal:
        """Keep ``leases`` for another while, and learn which were lost and which jobs shall stop."""
        now = self._clock()
        lost: set[str] = set()
        unwanted: set[str] = set()
        with self._database.write() as connection:
            for lease in leases:
                held = {"the_job": lease.job.id, "the_lease": lease.token}
                row = connection.execute(_RENEW, {**held, "lease_until": now + self._time}).one_or_none()
                if row is None:
                    lost.add(lease.token)
                elif row.cancel_at is not None:
                    unwanted.add(lease.token)
        return Renewal(frozenset(lost), frozenset(unwanted))

    def left(self, lease: Lease) -> float:
        """Return for how many seconds ``lease`` still holds. Raises StorageError as the clock does."""
        return (lease.until - self._clock()).total_seconds()

    def unwanted(self, leases: Sequence[Lease]) -> frozenset[str]:
        """Return the tokens of ``leases`` whose jobs somebody asked to stop."""
        tokens = [lease.token for lease in leases]
        query = sa.select(JOBS.c.lease).where(JOBS.c.lease.in_(tokens), JOBS.c.cancel_at.is_not(None))
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())

    def tell(self, lease: Lease, fraction: float, stage: str | None) -> None:
        """Write down how far the job is. Raises LeaseLostError."""
        now = self._clock()
        with self._database.write() as connection:
            self._change(connection, _TELL, lease, {"fraction": fraction, "stage": stage}, event="progress", now=now)

    def finish_item(
        self,
        lease: Lease,
        item: Item,
        failure: Failure | None,
        *,
        fraction: float,
        also: Also = nothing,
        end: End | None = None,
    ) -> None:
        """Write down that an item has succeeded, or failed; ``also`` (its artifacts) with it or not at all.

        With the last item comes the ``end`` of its job. Raises LeaseLostError; nothing is written then.
        """
        now = self._clock()
        state = JobState.SUCCEEDED if failure is None else JobState.FAILED
        with self._database.write() as connection:
            more = {"item": item.position, "item_state": state.value}
            values: dict[str, object] = {"fraction": fraction}
            if failure is None:  # what it needs is there again
                values |= {"delayed_since": None, "delayed_by": None}
            self._change(connection, _END_ITEM[state], lease, values, event="item", now=now, more=more)
            ended = replace(item, state=state, failure=failure, finished_at=now)
            rows.end_item(connection, lease.job.id, ended)
            if failure is None:
                rows.expire_picture(connection, item, now)
            also(connection)
            if end is not None:
                self._end(connection, lease.job.id, end.state, end.failure, now)

    def finish(self, lease: Lease, state: JobState, failure: Failure | None = None) -> None:
        """Write down that the job has ended. Raises LeaseLostError."""
        now = self._clock()
        with self._database.write() as connection:
            self._check(connection, lease)
            self._end(connection, lease.job.id, state, failure, now)

    def give_back(self, lease: Lease) -> None:
        """Put the job into the queue again as if it had not been taken.

        A job that somebody asked to stop is cancelled instead. Raises LeaseLostError.
        """
        now = self._clock()
        with self._database.write() as connection:
            if self._check(connection, lease).cancel_at is not None:
                self._end(connection, lease.job.id, JobState.CANCELLED, Failure.of(CancelledError()), now)
            else:
                self._requeue(connection, lease.job.id, now, now, counts=False)

    def may_wait(self, lease: Lease) -> bool:
        """Whether the job has not waited too long yet for what it needs. Raises LeaseLostError."""
        with self._database.read() as connection:
            since = self._held(connection, lease).delayed_since
        return since is None or self._clock() - since < self._patience

    def may_try_again(self, lease: Lease) -> bool:
        """Whether the job may be taken up once more after an attempt that counts."""
        return lease.job.attempt < self._max_attempts

    def put_off(self, lease: Lease, why: Failure, *, counts: bool) -> float:
        """Put the job into the queue again because something that it needs is away; return for how many seconds.

        That is as long as it has waited already: 2, 4, 8 … seconds, 5 minutes at most. The attempt is forgotten unless it
        ``counts``. A job that somebody asked to stop is cancelled instead. Raises LeaseLostError.
        """
        now = self._clock()
        with self._database.write() as connection:
            row = self._check(connection, lease)
            if row.cancel_at is not None:
                self._end(connection, lease.job.id, JobState.CANCELLED, Failure.of(CancelledError()), now)
                return 0.0
            since = row.delayed_since or now
            delay = min(LONGEST_DELAY, max(SHORTEST_DELAY, now - since))
            self._requeue(connection, lease.job.id, now, now + delay, counts=counts, delay=Delay(why, since))
            return delay.total_seconds()

    def abandon(self, worker_ids: Sequence[str]) -> None:
        """Let the leases of workers run out now that have ended for certain: :meth:`reclaim` takes their jobs back."""
        now = self._clock()
        held = (JOBS.c.state == JobState.RUNNING.value, JOBS.c.worker_id.in_(worker_ids), JOBS.c.lease_until > now)
        with self._database.write() as connection:
            connection.execute(JOBS.update().where(*held).values(lease_until=now - self._time))

    def reclaim(self, *, limit: int = 100) -> int:
        """Take back jobs whose workers were not heard of: into the queue, or failed after the last attempt.

        Returns how many that were. Any number of processes may do this at once.
        """
        query = (
            sa.select(JOBS.c.id, JOBS.c.attempt, JOBS.c.cancel_at)
            .where(JOBS.c.state == JobState.RUNNING.value, JOBS.c.lease_until < self._clock())
            .limit(limit)
        )
        with self._database.read() as connection:
            if connection.execute(query).first() is None:
                return 0
        with self._database.write() as connection:
            now = self._clock()
            dead = connection.execute(query.with_for_update(skip_locked=True)).all()
            for row in dead:
                if row.cancel_at is not None:
                    self._end(connection, row.id, JobState.CANCELLED, Failure.of(CancelledError()), now)
                elif row.attempt >= self._max_attempts:
                    error = JobAbandonedError(f"The worker of the job died {row.attempt} times.")
                    self._end(connection, row.id, JobState.FAILED, Failure.of(error), now)
                else:
                    self._requeue(connection, row.id, now, now, counts=True)
            return len(dead)

    def _change(
        self,
        connection: Connection,
        statement: sa.Update,
        lease: Lease,
        values: Mapping[str, object],
        *,
        event: str,
        now: datetime,
        more: Mapping[str, object] | None = None,
    ) -> None:
        held = {"the_lease": lease.token, **values}
        if rows.change(connection, statement, lease.job.id, held, event=event, now=now, more=more) is None:
            raise LeaseLostError

    @staticmethod
    def _check(connection: Connection, lease: Lease) -> rows.AnyRow:
        """Hold the job's row, and return what is asked of it besides. Raises LeaseLostError."""
        return Leases._held(connection, lease, _CHECK)

    @staticmethod
    def _held(connection: Connection, lease: Lease, query: sa.Select[Any] = _LOOK) -> rows.AnyRow:
        row = connection.execute(query, {"the_job": lease.job.id, "the_lease": lease.token}).one_or_none()
        if row is None:
            raise LeaseLostError
        return row

    @staticmethod
    def _requeue(
        connection: Connection,
        job_id: str,
        now: datetime,
        due: datetime,
        *,
        counts: bool,
        delay: Delay | None = None,
    ) -> None:
        values: dict[str, object] = {
            "state": JobState.QUEUED.value,
            "due_at": due,
            "sent_at": None,
            "stage": None,
            "lease": None,
            "lease_until": None,
            "worker_id": None,
        }
        if delay is not None:
            values |= {"delayed_since": delay.since, "delayed_by": rows.failure_row(delay.why)}
        statement = _REQUEUE if counts else _REQUEUE_AND_FORGET
        rows.change(connection, statement, job_id, values, event=JobState.QUEUED.value, now=now)
