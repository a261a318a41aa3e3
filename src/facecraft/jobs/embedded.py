"""`EmbeddedEngine`: jobs run in threads of this process, which take them from the database."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from functools import partial

from facecraft.errors import FacecraftError
from facecraft.jobs.capacity import Capacity, stand_back
from facecraft.jobs.engine import CANCEL_SECONDS, GRACE_SECONDS
from facecraft.jobs.housekeeping import Chore, Housekeeping, chores_of
from facecraft.jobs.job import Job, Lease
from facecraft.jobs.loops import Loop, dead
from facecraft.jobs.opening import Jobs
from facecraft.jobs.performing import Performer
from facecraft.jobs.pulse import Pulse
from facecraft.jobs.runner import JobRunner
from facecraft.jobs.tasks import QUEUES
from facecraft.jobs.workers import Worker

log = logging.getLogger("facecraft.jobs")

POLL_SECONDS = 0.5
"""How often an idle process looks for jobs that another process took in."""
_TROUBLE_SECONDS = 2.0


class EmbeddedEngine:
    """Runs jobs beside the requests of a server, on the same places.

    One of its threads at a time looks for work: it takes a place, then a job, and lets the next thread look. So an
    idle server asks the database twice a second, however many places it has.
    """

    name = "embedded"

    def __init__(
        self, jobs: Jobs, performer: Performer, *, capacity: Capacity, device: str, chores: Sequence[Chore] = ()
    ) -> None:
        """``chores`` are done now and then besides those of jobs."""
        self._leases = jobs.leases
        self._capacity = capacity
        worker = Worker.here(self.name, QUEUES, device, capacity.places)
        self._pulse = Pulse(jobs.leases, jobs.workers, worker)
        self._runner = JobRunner(jobs.leases, jobs.blobs, performer, self._pulse, jobs.config.job_timeout_seconds)
        self._housekeeping = Housekeeping((*chores_of(jobs), *chores))
        self._news = threading.Event()
        self._closing = threading.Event()
        self._looking = threading.Lock()
        self._loops = [Loop(f"job-{number}", partial(self._serve, number)) for number in range(capacity.places)]

    def start(self) -> None:
        """Begin. Raises StorageError."""
        self._pulse.start()
        self._housekeeping.start()
        for loop in self._loops:
            loop.start()

    def wake(self, job: Job) -> None:  # noqa: ARG002 - whoever looks takes the job that waited longest
        """Look for work now."""
        self._news.set()

    def stop(self, job_id: str) -> None:
        """Stop a job that runs here."""
        self._pulse.stop(job_id)

    def dead(self) -> tuple[str, ...]:
        """Return the names of threads that have stopped and should not have, or never stop working on a job."""
        return (*dead((*self._loops, self._pulse.loop, *self._housekeeping.loops)), *self._pulse.stuck())

    def close(self, *, grace: float = GRACE_SECONDS) -> None:
        """Take up nothing more, let running jobs end for ``grace`` seconds, then give them back to the queue."""
        self._pulse.say_leaving(grace)
        self._closing.set()
        self._news.set()
        self._housekeeping.close()
        self._wait(grace)
        self._pulse.leave()
        self._wait(CANCEL_SECONDS)
        self._pulse.close()

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for loop in self._loops:
            loop.join(deadline - time.monotonic())

    def _serve(self, number: int) -> None:
        loop = self._loops[number]
        stand_back()
        while (lease := self._next(loop)) is not None:
            try:
                with loop.round():
                    self._runner.run(lease)
            finally:
                self._capacity.leave()

    def _next(self, loop: Loop) -> Lease | None:
        """Wait for a place and a job, and take both; None when the engine closes."""
        with self._looking:
            while not self._closing.is_set():
                self._news.clear()
                self._capacity.enter()
                lease = None
                try:
                    with loop.round():
                        lease = None if self._closing.is_set() else self._claim()
                finally:
                    if lease is None:
                        self._capacity.leave()
                if lease is not None:
                    return lease
                self._news.wait(POLL_SECONDS)
            return None

    def _claim(self) -> Lease | None:
        try:
            return self._leases.claim(QUEUES, self._pulse.worker_id)
        except FacecraftError as error:
            log.warning("no job could be taken: %s", error.message, extra={"detail": error.detail})
            self._closing.wait(_TROUBLE_SECONDS)
            return None
