"""`Jobs`: everything there is about jobs, opened together. Importing this loads no database package; opening does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from facecraft.jobs.config import JobConfig
from facecraft.storage import BlobStore

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from facecraft.db.database import Database
    from facecraft.jobs.blobs import Blobs
    from facecraft.jobs.hints import Hints
    from facecraft.jobs.job import Job
    from facecraft.jobs.leases import Leases
    from facecraft.jobs.repository import JobRepository
    from facecraft.jobs.workers import Workers


@dataclass(frozen=True, slots=True)
class Jobs:
    """Jobs, the leases of those who run them, what a broker was told, their files, and the workers."""

    config: JobConfig
    database: Database
    repository: JobRepository
    leases: Leases
    hints: Hints
    blobs: Blobs
    workers: Workers


def _unheard(job: Job, /) -> None:
    """Hear of no end."""


def open_jobs(
    database: Database,
    store: BlobStore,
    config: JobConfig,
    *,
    retention: timedelta | None,
    quota_bytes: int | None = None,
    ended: Callable[[Job], None] = _unheard,
) -> Jobs:
    """Return the jobs of ``database`` with their files in ``store``; ``retention`` is how long they are kept.

    ``quota_bytes`` is how much is kept for one owner (None: any amount).
    ``ended`` hears of each job whose end through what is returned was written down; it must be quick and must not raise.
    """
    # All of these need the database packages.
    from facecraft.db.database import when_kept  # noqa: PLC0415
    from facecraft.jobs.blobs import Blobs  # noqa: PLC0415
    from facecraft.jobs.ending import nobody  # noqa: PLC0415
    from facecraft.jobs.hints import Hints  # noqa: PLC0415
    from facecraft.jobs.leases import Leases  # noqa: PLC0415
    from facecraft.jobs.repository import JobRepository  # noqa: PLC0415
    from facecraft.jobs.webhooks.outbox import announce_end  # noqa: PLC0415
    from facecraft.jobs.workers import Workers  # noqa: PLC0415

    announce = announce_end if config.webhooks_enabled else nobody

    def told(connection: Connection, job: Job) -> None:
        announce(connection, job)
        when_kept(connection, partial(ended, job))

    repository = JobRepository(
        database,
        queue_limit=config.job_queue_limit,
        queue_limit_per_owner=config.job_queue_limit_per_owner,
        retention=retention,
        told=told,
    )
    return Jobs(
        config=config,
        database=database,
        repository=repository,
        leases=Leases(
            repository,
            seconds=config.job_lease_seconds,
            max_attempts=config.job_max_attempts,
            patience=config.job_patience_seconds,
        ),
        blobs=Blobs(database, store, quota_bytes=quota_bytes),
        hints=Hints(repository),
        workers=Workers(database, clock=repository.clock),
    )
