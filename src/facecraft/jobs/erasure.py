"""Deleting everything of jobs that belongs to a user who is deleted."""

from __future__ import annotations

import time
from contextlib import suppress

import sqlalchemy as sa

from facecraft.db.tables import BLOBS, IDEMPOTENCY, WEBHOOKS
from facecraft.errors import JobNotFoundError, JobStateError
from facecraft.jobs import blob_rows
from facecraft.jobs.opening import Jobs

PATIENCE_SECONDS = 10.0
"""How long to wait for a running job that was told to stop: it does so at the next stage or tile."""
_PAUSE_SECONDS = 0.05
_PAGE = 200


def erase_owner(jobs: Jobs, owner: str, *, patience: float = PATIENCE_SECONDS) -> None:
    """Delete the webhooks, jobs and files of ``owner``, for good; running jobs are cancelled first.

    Raises JobStateError when a job goes on running for more than ``patience`` seconds, StorageError when the database
    or the store fails. What is left then is deleted by calling again.
    """
    with jobs.database.write() as connection:
        # First: nobody is told of the jobs that end now.
        for table in (WEBHOOKS, IDEMPOTENCY):
            connection.execute(sa.delete(table).where(table.c.owner == owner))
    deadline = time.monotonic() + patience
    while found := jobs.repository.list(owner, limit=_PAGE).items:
        gone = sum(_erased(jobs, owner, job.id) for job in found)
        if not gone:
            if time.monotonic() > deadline:
                raise JobStateError("A job of this user is still running.", hint="Delete the user again in a moment.")
            time.sleep(_PAUSE_SECONDS)
    query = sa.select(BLOBS).where(BLOBS.c.owner == owner).limit(_PAGE)
    while True:
        with jobs.database.read() as connection:
            left = [blob_rows.blob_of(row) for row in connection.execute(query)]
        if not left:
            return
        jobs.blobs.erase(left)


def _erased(jobs: Jobs, owner: str, job_id: str) -> bool:
    """Delete a job unless it runs, which is then told to stop; return whether it is gone."""
    try:
        with suppress(JobStateError):  # it has ended already
            jobs.repository.cancel(owner, job_id)
        jobs.blobs.erase_ids(jobs.repository.delete(owner, job_id))
    except JobStateError:
        return False
    except JobNotFoundError:  # somebody else was faster
        return True
    return True
