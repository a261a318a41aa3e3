"""`Pulse`: one thread for each process that keeps its leases, sees who shall stop, and tells how far its jobs are."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum

from facecraft.errors import CancelledError, DeadlineError, FacecraftError, LeaseLostError
from facecraft.jobs.job import Failure, JobState, Lease
from facecraft.jobs.leases import Leases
from facecraft.jobs.loops import PREFIX, Loop
from facecraft.jobs.pace import Tracker
from facecraft.jobs.workers import BEAT_SECONDS, Worker, Workers
from facecraft.progress import CancelToken
from facecraft.wording import counted

log = logging.getLogger("facecraft.jobs")

LOOK_SECONDS = 1.0
"""How often the database is asked whether somebody wants a job of this process to stop."""
TICK_SECONDS = 0.1
RENEWALS = 6
"""How often a lease is renewed in its time."""
MARGIN = 0.1
"""The last part of a lease, in which it is not relied on any more."""
OVERDUE_SECONDS = 5.0
"""Work whose time is up may take so long to end by itself: a stage or a tile looks, then cleans up. Then the job is ended
without it: work that hangs in a library never looks."""
UNWANTED_SECONDS = 30.0
"""The same for cancelled work. Longer: its result is wanted by nobody, and a slow tile on a processor takes some ten."""
STUCK_SECONDS = 60.0
"""A thread that works on so long after it was told to stop counts as lost: only the end of the process frees it."""


class Stop(StrEnum):
    """Why a worker stops in the middle of a job."""

    UNWANTED = "unwanted"
    """Somebody cancelled it."""
    OVERDUE = "overdue"
    """Its time is up."""
    LOST = "lost"
    """The lease is gone, or may be: another worker may have the job by now."""
    LEAVING = "leaving"
    """The process ends."""


class Hold(CancelToken):
    """One job while it is worked on: the token that stops it, and why it was stopped.

    It looks at the clock itself, so that work ends in time even when the pulse is stuck in a dead database.
    """

    def __init__(self, lease: Lease, tracker: Tracker, *, until: float, seconds: float) -> None:
        """``until`` (time.monotonic) is how long the lease may be relied on, ``seconds`` how long the work may take."""
        super().__init__()
        self.lease = lease
        self.tracker = tracker
        self.until = until
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.writing = threading.Lock()
        """Held while the job's progress is written: what is told of a job never goes backwards."""
        self.over = False
        """Whether nothing more is told of the job."""
        self.thread = threading.current_thread().name.removeprefix(PREFIX)
        """Who works on it."""
        self._why: Stop | None = None
        self._since = 0.0
        self._why_lock = threading.Lock()

    @property
    def why(self) -> Stop | None:
        """Why the work is to stop; None while it may go on."""
        return self._why

    def stop(self, why: Stop) -> None:
        """Ask the work to stop; the first reason counts."""
        with self._why_lock:
            if self._why is None:
                self._since, self._why = time.monotonic(), why  # in this order: others read without the lock
        self.cancel()

    def lose(self) -> None:
        """Stop because the job has been ended without the work: whatever that still does, nothing of it is kept."""
        with self._why_lock:
            self._why = Stop.LOST

    @property
    def told_for(self) -> float:
        """For how many seconds the work has been told to stop; 0 while it may go on."""
        return 0.0 if self._why is None else time.monotonic() - self._since

    @property
    def cancelled(self) -> bool:
        """Whether the work is to stop."""
        self.look()
        return super().cancelled

    def check(self) -> None:
        """Raise CancelledError if the work is to stop."""
        self.look()
        super().check()

    @property
    def late(self) -> DeadlineError:
        """What a job fails with whose time is up."""
        return DeadlineError(f"The job took longer than {self.seconds:g} seconds.")

    def look(self) -> None:
        """Stop when the lease or the time is over."""
        now = time.monotonic()
        if now > self.until:
            self.stop(Stop.LOST)
        elif now > self.deadline:
            self.stop(Stop.OVERDUE)


class Pulse:
    """Keeps the leases of one worker. Its own thread, and the threads that run jobs, may use it at once."""

    def __init__(self, leases: Leases, workers: Workers, worker: Worker) -> None:
        self._leases = leases
        self._workers = workers
        self._worker = worker
        self._holds: dict[str, Hold] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._renewed = self._looked = self._beaten = time.monotonic()
        self._in_trouble = False
        self.loop = Loop("pulse", self._beat)

    @property
    def worker_id(self) -> str:
        """The id under which this process takes leases."""
        return self._worker.id

    @property
    def busy(self) -> int:
        """How many jobs are worked on."""
        return len(self._holds)

    def start(self) -> None:
        """Write down that the worker is there, and begin. Raises StorageError."""
        self._worker = self._workers.seen(self._worker)
        self.loop.start()

    @contextmanager
    def hold(self, lease: Lease, tracker: Tracker, *, seconds: float) -> Iterator[Hold]:
        """Keep ``lease`` for the time of a ``with`` block; the work may take so many ``seconds``."""
        now = time.monotonic()
        left = self._leases.left(lease) - self._leases.seconds * MARGIN
        held = Hold(lease, tracker, until=now + left, seconds=seconds)
        with self._lock:
            self._holds[lease.token] = held
        try:
            yield held
        finally:
            with self._lock:
                del self._holds[lease.token]

    def stop(self, job_id: str) -> None:
        """Stop working on a job, because somebody cancelled it."""
        for held in self._all():
            if held.lease.job.id == job_id:
                held.stop(Stop.UNWANTED)

    def stuck(self) -> tuple[str, ...]:
        """Return the names of threads that were told to stop long ago and have not, each of which holds a place."""
        return tuple(sorted(held.thread for held in self._all() if held.told_for > STUCK_SECONDS))

    def say_leaving(self, seconds: float) -> None:
        """Tell the log what is waited for, and for how many seconds at most."""
        if self.busy:
            log.info("stopping: up to %.0f s are left for %s", seconds, counted(self.busy, "job"))

    def leave(self) -> None:
        """Stop working on every job, because the process ends."""
        for held in self._all():
            held.stop(Stop.LEAVING)

    def close(self) -> None:
        """Stop, and take the worker out of the list."""
        self._closing.set()
        self.loop.join(20)
        try:
            self._workers.forget(self._worker.id)
        except FacecraftError as error:
            log.warning("the worker could not be signed off: %s", error.message, extra={"detail": error.detail})

    def _all(self) -> tuple[Hold, ...]:
        with self._lock:
            return tuple(self._holds.values())

    def _beat(self) -> None:
        while not self._closing.is_set():
            self._closing.wait(TICK_SECONDS)
            for step in (self._keep, self._look, self._end, self._tell, self._say):
                answers = True
                with self.loop.round():
                    answers = self._ask(step)
                if not answers:
                    # A database that is away takes long to say so: the leases come first.
                    break
            else:
                self._in_trouble = False

    def _ask(self, step: Callable[[], None]) -> bool:
        """Do ``step`` and return whether the database answers."""
        try:
            step()
        except FacecraftError as error:
            if not self._in_trouble:
                self._in_trouble = True
                log.warning("the database does not answer: %s", error.message, extra={"detail": error.detail})
            return False
        return True

    def _keep(self) -> None:
        now = time.monotonic()
        holds = self._all()
        for held in holds:
            held.look()
        # A failed renewal is tried again soon; each hold knows how long it may rely on the last good one.
        if not holds or now - self._renewed < self._leases.seconds / RENEWALS:
            return
        renewal = self._leases.renew([held.lease for held in holds if held.why is not Stop.LOST])
        self._renewed = self._looked = now
        for held in holds:
            if held.lease.token in renewal.lost:
                held.stop(Stop.LOST)
            elif held.why is not Stop.LOST:
                held.until = now + self._leases.seconds * (1 - MARGIN)
            if held.lease.token in renewal.unwanted:
                held.stop(Stop.UNWANTED)

    def _look(self) -> None:
        now = time.monotonic()
        holds = self._all()
        if not holds or now - self._looked < LOOK_SECONDS:
            return
        unwanted = self._leases.unwanted([held.lease for held in holds])
        self._looked = now
        for held in holds:
            if held.lease.token in unwanted:
                held.stop(Stop.UNWANTED)

    def _end(self) -> None:
        """End the jobs whose work does not stop when it is told to; it may be stuck where nothing can reach it."""
        for held in self._all():
            end = _end_without(held)
            # Whoever writes at this moment is not stuck.
            if end is None or not held.writing.acquire(blocking=False):
                continue
            try:
                if held.over:
                    continue
                state, error = end
                self._leases.finish(held.lease, state, Failure.of(error))
                held.lose()
                log.error(
                    "job %s goes on although it was told to stop: it is ended without its worker, which keeps its place",
                    held.lease.job.name,
                    extra={"job_id": held.lease.job.id, "attempt": held.lease.job.attempt, "place": held.thread},
                )
            except LeaseLostError:
                held.lose()
            finally:
                held.writing.release()

    def _tell(self) -> None:
        for held in self._all():
            # Whoever writes about the job at this moment tells more than progress; the leases must not wait for it.
            if not held.writing.acquire(blocking=False):
                continue
            try:
                step = None if held.over or held.why is Stop.LOST else held.tracker.due()
                if step is not None:
                    self._leases.tell(held.lease, *step)
            except LeaseLostError:
                held.stop(Stop.LOST)
            finally:
                held.writing.release()

    def _say(self) -> None:
        now = time.monotonic()
        # A worker of which a thread is stuck is not well: nobody hears of it until it is, or starts anew.
        if now - self._beaten >= BEAT_SECONDS and not self.stuck():
            self._worker = self._workers.seen(replace(self._worker, busy=self.busy))
            self._beaten = now


def _end_without(held: Hold) -> tuple[JobState, FacecraftError] | None:
    """Return how the job of ``held`` ends without its work; None while that has time to end by itself."""
    if held.why is Stop.OVERDUE and held.told_for > OVERDUE_SECONDS:
        return JobState.FAILED, held.late
    if held.why is Stop.UNWANTED and held.told_for > UNWANTED_SECONDS:
        return JobState.CANCELLED, CancelledError()
    return None
