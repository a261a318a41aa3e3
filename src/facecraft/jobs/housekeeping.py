"""Chores of a process that serves or runs jobs: what died is taken up again, what is old goes.

Any number of processes may do them at once, and none of them touches a running job whose worker lives.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from facecraft.errors import FacecraftError
from facecraft.jobs.loops import Loop
from facecraft.jobs.opening import Jobs
from facecraft.wording import counted

log = logging.getLogger("facecraft.jobs")

_FIRST_SECONDS = 60.0
"""A chore that lists much waits so long after the start."""
_ROUND_SECONDS = 2.0
"""What may have much to do goes on with it in its next round: others have their turn, and a process that ends is not
held up."""
_CLOSE_SECONDS = 20.0
_SPREAD = 0.1
"""Processes that were started together do a chore at different moments: so much of its seconds apart."""


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do again and again."""

    name: str
    do: Callable[[], object]
    seconds: float
    """Between two times."""
    wait: float = 0.0
    """Before the first time."""
    urgent: bool = False
    """Whether it waits for no other chore, however long that takes."""


class Housekeeping:
    """Does chores until it is closed, in a thread of its own; those that are urgent in another one."""

    def __init__(self, chores: Sequence[Chore]) -> None:
        self._closing = threading.Event()
        self._rota = {
            name: some
            for name, urgent in (("recovery", True), ("chores", False))
            if (some := tuple(chore for chore in chores if chore.urgent is urgent))
        }
        self._loops = {name: Loop(name, partial(self._work, name)) for name in self._rota}

    @property
    def loops(self) -> tuple[Loop, ...]:
        """Its threads."""
        return tuple(self._loops.values())

    def start(self) -> None:
        """Begin."""
        for loop in self.loops:
            loop.start()

    def close(self) -> None:
        """Stop, and wait a while for the chores under way."""
        self._closing.set()
        until = time.monotonic() + _CLOSE_SECONDS
        for loop in self.loops:
            loop.join(until - time.monotonic())

    def _work(self, name: str) -> None:
        loop, chores = self._loops[name], self._rota[name]
        start = time.monotonic()
        due = {chore.name: start + chore.wait + chore.seconds * _spread() for chore in chores}
        while not self._closing.is_set():
            for chore in chores:
                if time.monotonic() < due[chore.name] or self._closing.is_set():
                    continue
                with loop.round():
                    self._do(chore)
                due[chore.name] = time.monotonic() + chore.seconds * (1 + _spread())
            self._closing.wait(max(0.05, min(due.values()) - time.monotonic()))

    @staticmethod
    def _do(chore: Chore) -> None:
        try:
            chore.do()
        except FacecraftError as error:
            log.warning("%s: %s", chore.name, error.message, extra={"detail": error.detail})


def _spread() -> float:
    return random.uniform(0.0, _SPREAD)  # noqa: S311 - nothing secret


def chores_of(jobs: Jobs) -> tuple[Chore, ...]:
    """Return what there is to do about ``jobs``."""

    def take_back() -> None:
        gone = [worker.id for worker in jobs.workers.gone()]
        if gone:
            # Its processes have ended for certain: nobody has to wait for its leases to run out.
            jobs.leases.abandon(gone)
            jobs.workers.forget(*gone)
        while taken := jobs.leases.reclaim():
            log.info("taken back from dead workers: %s", counted(taken, "job"))

    def forget_jobs() -> None:
        until = time.monotonic() + _ROUND_SECONDS
        while jobs.repository.sweep() and time.monotonic() < until:
            pass
        jobs.blobs.sweep()

    return (
        Chore("jobs of dead workers", take_back, min(5.0, jobs.leases.seconds / 6), urgent=True),
        Chore("old jobs and files", forget_jobs, 10.0, wait=5.0),
        Chore("files without a row", jobs.blobs.sweep_orphans, 3600.0, wait=_FIRST_SECONDS),
        Chore("old workers", jobs.workers.sweep, 600.0, wait=_FIRST_SECONDS),
    )
