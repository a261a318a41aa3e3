"""`Loop`: a thread that has to go on as long as its process does, and says when it did not."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

log = logging.getLogger("facecraft.jobs")

PREFIX = "facecraft-"
"""What the names of our threads begin with."""
_SILENT_SECONDS = 30.0
"""A round that fails each time is told of so often."""


class Loop:
    """A thread of this process that does something again and again, whatever goes wrong in one of its rounds."""

    def __init__(self, name: str, run: Callable[[], object]) -> None:
        """``run`` returns when it is told to stop, and puts each of its rounds into :meth:`round`."""
        self.name = name
        self._thread = threading.Thread(target=run, name=f"{PREFIX}{name}", daemon=True)
        self._started = False
        self._told = -_SILENT_SECONDS

    def start(self) -> None:
        """Begin."""
        self._started = True
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until it has stopped, or for so long."""
        if self._thread.is_alive():
            self._thread.join(timeout=max(0.0, seconds))

    @property
    def dead(self) -> bool:
        """Whether it has begun and does not go on."""
        return self._started and not self._thread.is_alive()

    @contextmanager
    def round(self) -> Iterator[None]:
        """Hold one round: an error that nobody expected is logged, and ends this round only.

        The pause between rounds belongs behind it: a round may fail at once.
        """
        try:
            yield
        except Exception:
            if time.monotonic() - self._told >= _SILENT_SECONDS:
                self._told = time.monotonic()
                log.exception("something unexpected went wrong in %s, which goes on", self.name)


def dead(loops: Iterable[Loop]) -> tuple[str, ...]:
    """Return the names of those that have begun and do not go on."""
    return tuple(loop.name for loop in loops if loop.dead)
