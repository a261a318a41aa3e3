"""All jobs and workers over the database, looked at now and then: for ``/metrics`` and ``/status``."""

from __future__ import annotations

import threading
import time

from facecraft import telemetry
from facecraft.errors import FacecraftError
from facecraft.studio import Studio
from facecraft.telemetry.sources import Fleet

FRESH_SECONDS = 5.0
"""For so long the database is not asked again: however many ask us, it counts its jobs once."""
_PATIENCE_SECONDS = 2.0

log = telemetry.logger("api")


class FleetWatch:
    """What the database knows of all jobs and workers. Safe to use from several threads."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._asking = threading.Lock()
        self._known: Fleet | None = None
        self._until = 0.0
        self._deaf = 0
        self._listened = 0.0

    def now(self) -> Fleet | None:
        """Return it as it was a moment ago; None while the database cannot be read. Blocks: call it in a worker."""
        # Another thread may be waiting for a database that is away: what it waits for is not waited for twice.
        if not self._asking.acquire(timeout=_PATIENCE_SECONDS):
            return None
        try:
            if time.monotonic() >= self._until:
                self._known = self._look()
                self._until = time.monotonic() + FRESH_SECONDS
            return self._known
        finally:
            self._asking.release()

    def deaf_workers(self) -> int:
        """Return how many workers do not hear of the jobs that wait for them, as far as is known. Blocks as above.

        It is asked for by every probe, so jobs are not counted for it.
        """
        if self._asking.acquire(timeout=_PATIENCE_SECONDS):
            try:
                if time.monotonic() >= self._listened:
                    self._deaf = sum(worker.deaf_since is not None for worker in self._studio.jobs.workers.alive())
                    self._listened = time.monotonic() + FRESH_SECONDS
            except FacecraftError as error:
                log.warning("workers could not be counted: %s", error.message, extra={"detail": error.detail})
            finally:
                self._asking.release()
        return self._deaf

    def _look(self) -> Fleet | None:
        try:
            jobs = self._studio.jobs
            counts, depths, stages = jobs.repository.counts(), jobs.repository.depths(), jobs.repository.stages()
            moment, revision = jobs.repository.clock(), jobs.database.revision()
            return Fleet(moment, revision, counts, depths, jobs.workers.alive(), stages)
        except FacecraftError as error:
            log.warning("jobs could not be counted: %s", error.message, extra={"detail": error.detail})
            return None
