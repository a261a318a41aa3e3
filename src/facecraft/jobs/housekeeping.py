"""Chores of a process that serves or runs jobs: what died is taken up again, what is old goes.

Any number of processes may do them at once, and none of them touches a running job whose worker lives.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from facecraft.errors import FacecraftError
from facecraft.jobs.loops import Loop
from facecraft.jobs.opening import Jobs

log = logging.getLogger("facecraft.jobs")

_FIRST_SECONDS = 60.0
"""A chore that lists much waits so long after the start."""


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do again and again."""

    name: str
    do: Callable[[], object]
    seconds: float
    """Between two times."""
    wait: float = 0.0
    """Before the first time."""


class Housekeeping:
    """Does chores in a thread of its own until it is closed."""

    def __init__(self, chores: Sequence[Chore]) -> None:
        self._chores = tuple(chores)
        self._closing = threading.Event()
        self.loop = Loop("chores", self._work)

    def start(self) -> None:
        """Begin."""
        self.loop.start()

    def close(self) -> None:
        """Stop, and wait a while for the chore under way."""
        self._closing.set()
        self.loop.join(20)

    def _work(self) -> None:
        start = time.monotonic()
        due = {chore.name: start + chore.wait for chore in self._chores}
        while not self._closing.is_set():
            for chore in self._chores:
                if time.monotonic() < due[chore.name] or self._closing.is_set():
                    continue
                with self.loop.round():
                    self._do(chore)
                due[chore.name] = time.monotonic() + chore.seconds
            pause = min(due.values(), default=start + _FIRST_SECONDS) - time.monotonic()
            self._closing.wait(max(0.05, pause))

    @staticmethod
    def _do(chore: Chore) -> None:
        try:
            chore.do()
        except FacecraftError as error:
            log.warning("%s: %s", chore.name, error.message, extra={"detail": error.detail})


def chores_of(jobs: Jobs) -> tuple[Chore, ...]:
    """Return what there is to do about ``jobs``."""

    def take_back() -> None:
        gone = [worker.id for worker in jobs.workers.gone()]
        if gone:
            # Its processes have ended for certain: nobody has to wait for its leases to run out.
            jobs.leases.abandon(gone)
            jobs.workers.forget(*gone)
        while taken := jobs.leases.reclaim():
            log.info("%s jobs of dead workers were taken back", taken)

    def forget_jobs() -> None:
        while jobs.repository.sweep():
            pass
        jobs.blobs.sweep()

    return (
        Chore("jobs of dead workers", take_back, min(5.0, jobs.leases.seconds / 6)),
        Chore("old jobs and files", forget_jobs, 60.0, wait=5.0),
        Chore("files without a row", jobs.blobs.sweep_orphans, 3600.0, wait=_FIRST_SECONDS),
        Chore("old workers", jobs.workers.sweep, 600.0, wait=_FIRST_SECONDS),
    )
