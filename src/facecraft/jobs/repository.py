"""`JobRepository`: what callers do with jobs. Every job belongs to an owner, and nobody else sees it.

What workers do with them is in :mod:`facecraft.jobs.leases`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from facecraft.db.clock import DatabaseClock
from facecraft.db.database import Database
from facecraft.db.ids import new_id, parse_id
from facecraft.db.listing import Listing, check_limit, cut, decode_cursor
from facecraft.db.tables import JOB_EVENTS, JOB_ITEMS, JOBS
from facecraft.errors import CancelledError, JobNotFoundError, JobStateError
from facecraft.jobs import blob_rows, rows, waiting
from facecraft.jobs.ending import Ending, Told, nobody
from facecraft.jobs.forgetting import forget, forget_expired
from facecraft.jobs.job import EVERYBODY, Event, Failure, Item, Job, JobState, NewJob, Owner
from facecraft.jobs.waiting import Depth, Room

Also = Callable[[Connection], None]
"""Something else to write in the same transaction."""
Added = Callable[[Job, int | None], Also]
"""Given a new job and its place in the queue: something about it to write in the same transaction."""


_ONE = sa.select(JOBS).where(JOBS.c.id == sa.bindparam("the_job"))
_STANDINGS = sa.select(JOBS.c.id, JOBS.c.state, JOBS.c.event_count).where(
    JOBS.c.id.in_(sa.bindparam("the_jobs", expanding=True))
)
_CANCEL = rows.changing()
_RETRY = rows.changing()


def nothing(connection: Connection) -> None:
    """Write nothing else: the null form of :data:`Also`."""


def all_of(*parts: Also) -> Also:
    """Write each of ``parts``, in their order."""

    def also(connection: Connection) -> None:
        for part in parts:
            part(connection)

    return also


def unsaid(job: Job, position: int | None, /) -> Also:  # noqa: ARG001 - the null form of :data:`Added`
    """Write nothing about a new job: the null form of :data:`Added`."""
    return nothing


class JobRepository:
    """Jobs in a database. Safe to use from several threads and processes."""

    def __init__(
        self,
        database: Database,
        *,
        queue_limit: int = 10_000,
        queue_limit_per_owner: int = 1_000,
        retention: timedelta | None = None,
        told: Told = nobody,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """``retention`` is how long a job is kept after its end (None: for ever); ``clock`` is by default the database's.

        ``queue_limit`` is how many jobs may wait, ``queue_limit_per_owner`` how many of one user among them.
        """
        self.database = database
        self.ending = Ending(retention, told)
        self.clock = clock or DatabaseClock(database)
        self._room = Room(queue_limit, queue_limit_per_owner)

    def add(self, new: NewJob, *, job_id: str | None = None, also: Also = nothing, added: Added = unsaid) -> Job:
        """Put a job into its queue and return it; ``also`` is written with it or not at all.

        What ``added`` returns is written last. Raises BusyError when too many wait, StorageError: when a
        connection breaks during the commit, the job may be there all the same.
        """
        now = self.clock()
        identity = job_id or new_id()
        with self.database.write() as connection:
            self._room.check(connection, new.owner)
            also(connection)
            job = rows.insert(connection, identity, new, JobState.QUEUED, now)
            added(job, waiting.position(connection, job))(connection)
            return job

    def record(self, new: NewJob, *, job_id: str, also: Also = nothing) -> Job:
        """Write down a job that was done while its caller waited; it failed when every item did. Raises StorageError."""
        now = self.clock()
        state = JobState.FAILED if all(item.state is JobState.FAILED for item in new.items) else JobState.SUCCEEDED
        with self.database.write() as connection:
            rows.insert(connection, job_id, new, state, now)
            also(connection)
            connection.execute(JOBS.update().where(JOBS.c.id == job_id).values(expires_at=self.ending.expiry(now)))
            return _one(connection, job_id)

    def get(self, owner: Owner, job_id: str) -> Job:
        """Return a job of ``owner``. Raises JobNotFoundError."""
        with self.database.read() as connection:
            return _own(connection, owner, job_id)

    def items(self, owner: Owner, job_id: str) -> tuple[Item, ...]:
        """Return the items of a job of ``owner``. Raises JobNotFoundError."""
        with self.database.read() as connection:
            return rows.items_of(connection, _own(connection, owner, job_id).id)

    def position(self, job: Job) -> int | None:
        """Return how many jobs are taken up before ``job`` and itself: 1 is next; None when it does not wait."""
        with self.database.read() as connection:
            return waiting.position(connection, job)

    def list(
        self,
        owner: Owner,
        *,
        states: Sequence[JobState] = (),
        name: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Listing[Job]:
        """Return a page of the jobs of ``owner``, newest first. Raises InvalidOptionError."""
        query = sa.select(JOBS).where(rows.belongs(owner)).order_by(JOBS.c.id.desc()).limit(check_limit(limit) + 1)
        if cursor is not None:
            query = query.where(JOBS.c.id < decode_cursor(cursor))
        if states:
            query = query.where(JOBS.c.state.in_([state.value for state in states]))
        if name is not None:
            query = query.where(JOBS.c.name == name)
        with self.database.read() as connection:
            found = connection.execute(query).all()
        return cut(found, limit, rows.job_of, lambda row: str(row.id))

    def events(self, job_id: str, *, after: int = 0, limit: int = 500) -> tuple[Event, ...]:
        """Return what happened to a job after the event of that number, oldest first."""
        query = (
            sa.select(JOB_EVENTS)
            .where(JOB_EVENTS.c.job_id == job_id, JOB_EVENTS.c.number > after)
            .order_by(JOB_EVENTS.c.number)
            .limit(limit)
        )
        with self.database.read() as connection:
            return tuple(rows.event_of(row) for row in connection.execute(query))

    def event_counts(self, job_ids: Sequence[str]) -> dict[str, int]:
        """Return the number of the newest event of each of these jobs; those that are gone are not in it."""
        return {job_id: count for job_id, _, count in self._standings(job_ids)}

    def states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Return the state of each of these jobs; those that are gone are not in it."""
        return {job_id: JobState(state) for job_id, state, _ in self._standings(job_ids)}

    def _standings(self, job_ids: Sequence[str]) -> tuple[tuple[str, str, int], ...]:
        with self.database.read() as connection:
            return tuple(
                (row.id, row.state, row.event_count)
                for part in blob_rows.batches(job_ids)
                for row in connection.execute(_STANDINGS, {"the_jobs": part})
            )

    def cancel(self, owner: Owner, job_id: str) -> Job:
        """Stop a job: at once when it waits, at the next stage or tile when it runs.

        Raises JobNotFoundError, and JobStateError when it has ended.
        """
        now = self.clock()
        with self.database.write() as connection:
            job = _own(connection, owner, job_id, lock=True)
            if job.state is JobState.QUEUED:
                self.ending(connection, job.id, JobState.CANCELLED, Failure.of(CancelledError()), now)
            elif job.state is not JobState.RUNNING:
                raise JobStateError(f"The job has ended ({job.state.value}) and cannot be cancelled any more.")
            elif job.cancel_at is None:
                rows.change(connection, _CANCEL, job.id, {"cancel_at": now}, event="cancelling", now=now)
            return _one(connection, job.id)

    def retry(self, owner: Owner, job_id: str, *, also: Also = nothing) -> Job:
        """Put a job of which something failed or was cancelled into the queue again; only that is done.

        ``also`` is written with it or not at all. Raises JobNotFoundError, JobStateError for a job in another state, and BusyError when too many wait.
        """
        now = self.clock()
        with self.database.write() as connection:
            job = _own(connection, owner, job_id, lock=True)
            if not job.ended or job.succeeded == job.total:
                raise JobStateError(
                    f"Nothing of the job has failed or was cancelled: it is {job.state.value}, with {job.succeeded} of "
                    f"{job.total} pictures done."
                )
            self._room.check(connection, job.owner)
            connection.execute(
                JOB_ITEMS.update()
                .where(JOB_ITEMS.c.job_id == job.id, JOB_ITEMS.c.state != JobState.SUCCEEDED.value)
                .values(state=JobState.QUEUED.value, failure=None, finished_at=None)
            )
            rows.keep_inputs(connection, job.id, _undone(connection, job.id), now)
            values = {
                "state": JobState.QUEUED.value,
                "attempt": 0,
                "failure": None,
                "failed": 0,
                "fraction": job.succeeded / job.total,
                "stage": None,
                "due_at": now,
                "delayed_since": None,
                "delayed_by": None,
                "sent_at": None,
                "finished_at": None,
                "expires_at": None,
                "cancel_at": None,
            }
            rows.change(connection, _RETRY, job.id, values, event=JobState.QUEUED.value, now=now)
            also(connection)
            return _one(connection, job.id)

    def delete(self, owner: Owner, job_id: str) -> tuple[str, ...]:
        """Forget a job that does not run; return the blobs whose bytes are to be deleted now.

        Raises JobNotFoundError, and JobStateError for a job that runs.
        """
        now = self.clock()
        with self.database.write() as connection:
            job = _own(connection, owner, job_id, lock=True)
            if job.state is JobState.RUNNING:
                raise JobStateError("A running job cannot be deleted.", hint="Cancel it first.")
            return forget(connection, [job.id], now, self.ending.expiry(now))

    def sweep(self, *, limit: int = 200) -> int:
        """Forget jobs whose time is over, ``limit`` of them at most; return how many. Never a running one.

        The next sweep of the blobs deletes their files.
        """
        now = self.clock()
        return forget_expired(self.database, now, self.ending.expiry(now), limit=limit)

    def depths(self) -> tuple[Depth, ...]:
        """Return how much waits in each queue that is not empty."""
        with self.database.read() as connection:
            return waiting.depths(connection)

    def counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state."""
        query = sa.select(JOBS.c.state, sa.func.count().label("number")).group_by(JOBS.c.state)
        with self.database.read() as connection:
            found = {JobState(row.state): row.number for row in connection.execute(query)}
        return {state: found.get(state, 0) for state in JobState}

    def stages(self) -> dict[str | None, int]:
        """Return how many running jobs are in each stage; None: in none that was told of yet."""
        running = JOBS.c.state == JobState.RUNNING.value
        query = sa.select(JOBS.c.stage, sa.func.count().label("number")).where(running).group_by(JOBS.c.stage)
        with self.database.read() as connection:
            return {row.stage: row.number for row in connection.execute(query)}


def _own(connection: Connection, owner: Owner, job_id: str, *, lock: bool = False) -> Job:
    identity = parse_id(job_id)
    query = _ONE.with_for_update() if lock else _ONE
    row = connection.execute(query, {"the_job": identity}).one_or_none() if identity else None
    if row is None or (owner is not EVERYBODY and row.owner != owner):
        raise JobNotFoundError
    return rows.job_of(row)


def _one(connection: Connection, job_id: str) -> Job:
    return rows.job_of(connection.execute(_ONE, {"the_job": job_id}).one())


def _undone(connection: Connection, job_id: str) -> tuple[Item, ...]:
    return tuple(item for item in rows.items_of(connection, job_id) if item.state is not JobState.SUCCEEDED)
