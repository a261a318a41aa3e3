"""`Capacity`: how many pictures one process works on at the same time, whoever asked for them."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

NICENESS = 5
"""How much threads that work on pictures stand back behind those that answer, while every core is busy."""


class Capacity:
    """A number of places, given out in the order in which they were asked for.

    Requests that are answered at once and jobs draw on the same places: neither can starve the other, because a
    place that gets free goes to whoever has waited longest.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._free = places
        self._line: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """How many places nobody has at this moment."""
        return self._free

    def enter(self) -> None:
        """Take a place; wait for it."""
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Event()
            self._line.append(turn)
        turn.wait()

    def leave(self) -> None:
        """Give a place back."""
        with self._lock:
            if self._line:
                self._line.popleft().set()
            else:
                self._free += 1

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for the time of a ``with`` block."""
        self.enter()
        try:
            yield
        finally:
            self.leave()


def stand_back() -> None:
    """Let this thread stand back behind the others of the process, where a thread has a priority of its own."""
    if sys.platform == "linux":  # elsewhere a priority belongs to the whole process
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, min(19, os.getpriority(os.PRIO_PROCESS, own) + NICENESS))
