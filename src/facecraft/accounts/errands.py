"""What is done after the answer: mail, and notes of when a key was used."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from facecraft.errors import FacecraftError

_MOST_WAITING = 200
log = logging.getLogger("facecraft.accounts")


class Errands:
    """A thread that does small things one after the other. What does not fit into the queue is left undone and logged."""

    def __init__(self, *, most: int = _MOST_WAITING) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="facecraft-errands")
        self._places = threading.BoundedSemaphore(most)

    def do(self, what: str, work: Callable[[], None]) -> None:
        """Do ``work`` soon; ``what`` names it in the log when it fails."""
        if not self._places.acquire(blocking=False):
            log.warning("too much to do: left out %s", what)
            return
        self._thread.submit(_try, what, work).add_done_callback(self._finished)

    def _finished(self, done: Future[None]) -> None:
        self._places.release()
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("unexpected error in the background", exc_info=error)

    def wait(self) -> None:
        """Return when all that was asked for so far is done."""
        self._thread.submit(int).result()

    def close(self) -> None:
        """Finish what is under way and drop what waits."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def _try(what: str, work: Callable[[], None]) -> None:
    try:
        work()
    except FacecraftError as error:
        log.warning("%s failed: %s", what, error.message, extra={"detail": error.detail})
