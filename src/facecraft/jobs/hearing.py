"""`Hearing`: whether a worker that has a free place hears of the jobs that wait for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Protocol

log = logging.getLogger("facecraft.jobs")

DEAF_AFTER = 10.0
"""For so many seconds messages may wait for a worker that has a free place and takes none. Then it is deaf: Redis hands
a message to whoever asks within milliseconds, and a connection that broke is made again within some five seconds."""
LOST_AFTER_TIMES = 3
"""A worker that is deaf for so many times as long does not hear again by itself."""


class Ears(Protocol):
    """What can be done about a worker that is deaf."""

    def say(self, *, deaf: bool) -> None:
        """Let others know. Raises StorageError."""

    def reconnect(self) -> None:
        """Ask the broker anew."""

    def give_up(self) -> None:
        """End the process, so that whoever looks after it starts another."""


class Hearing:
    """Judges one worker by what waits for it and what it takes. Safe to use from several threads."""

    def __init__(
        self,
        queues: Collection[str],
        places: int,
        ears: Ears,
        *,
        patience: float = DEAF_AFTER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Judge a worker that takes messages of ``queues`` into ``places``."""
        self._queues = frozenset(queues)
        self._places = places
        self._ears = ears
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._busy = 0
        self._since: float | None = None
        self._deaf = self._said = self._lost = False

    @contextmanager
    def message(self) -> Iterator[None]:
        """Hold the work on one message, which shows that the worker hears."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def listen(self, waiting: Collection[str]) -> None:
        """Take note of the queues with messages that wait; call it about once a second.

        None wait for somebody who cannot ask the broker. Raises StorageError.
        """
        with self._lock:
            if self._busy >= self._places or self._queues.isdisjoint(waiting):
                self._since = None
            elif self._since is None:
                self._since = self._clock()
            seconds = 0.0 if self._since is None else self._clock() - self._since
        if seconds >= self._patience * LOST_AFTER_TIMES and not self._lost:
            self._lost = True
            log.critical("this worker does not hear of the jobs that wait for it: it ends, to be started anew")
            self._ears.give_up()
        elif seconds >= self._patience and not self._deaf:
            self._deaf = True
            log.error("jobs wait and this worker has not taken any for %.0f s: it connects to the broker anew", seconds)
            self._ears.reconnect()
        elif seconds == 0.0 and self._deaf:
            self._deaf = False
            log.info("this worker hears of jobs again")
        if self._said is not self._deaf:
            self._ears.say(deaf=self._deaf)
            self._said = self._deaf

    def _count(self, change: int) -> None:
        with self._lock:
            self._busy += change
            self._since = None
