"""How a job ends, whoever ends it: a worker, its caller, or who finds that its worker is dead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from facecraft.db.tables import JOBS
from facecraft.errors import JobStateError
from facecraft.jobs import rows
from facecraft.jobs.job import ENDED, Failure, Job, JobState, origins

Told = Callable[[Connection, Job], None]
"""Whoever writes down, in the same transaction, that a job has ended: exactly once for each end."""

_END = {
    state: rows.changing(
        JOBS.c.state.in_([origin.value for origin in origins(state)]),
        failed=JOBS.c.failed + sa.bindparam("also_failed"),
    )
    for state in ENDED
}


def nobody(connection: Connection, job: Job) -> None:
    """Tell nobody: the null form of :data:`Told`."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Ends jobs."""

    retention: timedelta | None = None
    """How long a job is kept after its end; None: for ever."""
    told: Told = nobody

    def expiry(self, ended: datetime) -> datetime | None:
        """Return when a job that ended then is forgotten."""
        return None if self.retention is None else ended + self.retention

    def __call__(
        self, connection: Connection, job_id: str, state: JobState, failure: Failure | None, now: datetime
    ) -> None:
        """Write down that a job has ended, tell whoever is told, and let its uploads go.

        Whoever calls holds the row of the job. Raises JobStateError for a job that cannot end so.
        """
        expiry = self.expiry(now)
        items = rows.items_of(connection, job_id)
        left = rows.end_items(connection, job_id, state, failure, now) if rows.waiting(items) else 0
        values = {
            "state": state.value,
            "failure": rows.failure_row(failure),
            "also_failed": left if state is JobState.FAILED else 0,
            "stage": None,
            "finished_at": now,
            "expires_at": expiry,
            "cancel_at": None,
            "lease": None,
            "lease_until": None,
            "worker_id": None,
            **({"fraction": 1.0} if state is JobState.SUCCEEDED else {}),
        }
        row = rows.change(connection, _END[state], job_id, values, event=state.value, now=now)
        if row is None:
            raise JobStateError
        undone = [item for item in items if item.state is not JobState.SUCCEEDED]
        if undone:
            # Whoever tries it again needs the pictures that were not finished, and those that go with them.
            rows.expire_inputs(connection, undone, expiry)
        else:
            rows.expire_inputs(connection, items, now)
        rows.release_inputs(connection, job_id, items, expiry)
        self.told(connection, rows.job_of(row))
