"""`Hints`: what a broker was told. It is told of jobs by their ids, and may forget: the database knows what there is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from facecraft.db.tables import JOBS
from facecraft.jobs import blob_rows
from facecraft.jobs.job import JobState
from facecraft.jobs.repository import JobRepository


class Hints:
    """The side of a :class:`JobRepository` that whoever tells a broker sees."""

    def __init__(self, jobs: JobRepository) -> None:
        self._database = jobs.database
        self._clock = jobs.clock

    def unsent(
        self, older: timedelta, *, queues: Sequence[str] | None = None, limit: int = 500
    ) -> tuple[tuple[str, str], ...]:
        """Mark due jobs that no broker was told of within ``older`` as told now; return them with their queues.

        A broker may forget: what it was told is only a hint that there is work. Telling twice does no harm.
        """
        now = self._clock()
        due = [JOBS.c.state == JobState.QUEUED.value, JOBS.c.due_at <= now]
        if queues is not None:
            due.append(JOBS.c.queue.in_(queues))
        # Two questions: for one with an "or" the database would go through all that waits.
        never, long_ago = JOBS.c.sent_at.is_(None), JOBS.c.sent_at < now - older
        some = [
            sa.select(JOBS.c.id, JOBS.c.queue).where(*due, which).order_by(JOBS.c.sent_at, JOBS.c.id).limit(limit)
            for which in (never, long_ago)
        ]
        with self._database.read() as connection:
            if all(connection.execute(query).first() is None for query in some):
                return ()
        with self._database.write() as connection:
            found = tuple(
                (row.id, row.queue)
                for query in some
                for row in connection.execute(query.with_for_update(skip_locked=True))
            )
            for part in blob_rows.batches(found):
                ids = [job_id for job_id, _ in part]
                connection.execute(JOBS.update().where(JOBS.c.id.in_(ids)).values(sent_at=now))
            return found

    def untold(self, job_ids: Sequence[str]) -> None:
        """Write down that the broker could not be told of these jobs after all."""
        with self._database.write() as connection:
            connection.execute(JOBS.update().where(JOBS.c.id.in_(job_ids)).values(sent_at=None))

    def unheard(self, older: timedelta) -> tuple[str, ...]:
        """Return the queues with due jobs that a broker was told of longer ago than ``older``."""
        now = self._clock()
        told = (JOBS.c.state == JobState.QUEUED.value, JOBS.c.due_at <= now, JOBS.c.sent_at < now - older)
        with self._database.read() as connection:
            return tuple(connection.execute(sa.select(JOBS.c.queue).where(*told).distinct()).scalars())
