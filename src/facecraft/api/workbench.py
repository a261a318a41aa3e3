"""Where requests wait and work: a bounded number of places, off the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from facecraft.errors import BusyError, CancelledError, DeadlineError, FacecraftError
from facecraft.jobs.capacity import Capacity, stand_back
from facecraft.progress import CancelToken

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One admitted request: until when it may take, and whether somebody still waits for it."""

    deadline: float
    """On the clock of the event loop."""
    cancel: CancelToken = field(default_factory=CancelToken)
    stopped: asyncio.Future[FacecraftError] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Resolved with the reason when nobody waits for the request any more."""

    def stop(self, reason: FacecraftError) -> None:
        """Ask the work of this request to end because of ``reason``."""
        self.cancel.cancel()
        if not self.stopped.done():
            self.stopped.set_result(reason)


class Workbench:
    """A bounded number of worker threads and of requests that wait for them.

    A request is admitted before its body is read, so that bodies of refused requests cost nothing; it leaves when it
    is answered. Work of a request whose client is gone, or whose time is up, is cancelled between two stages; its
    thread stays taken until then, so that no more than ``places`` pictures are ever worked on; with a ``capacity``
    that others use, too, never more than that by all of them together.
    """

    def __init__(self, *, places: int, queue: int, seconds: float, capacity: Capacity | None = None) -> None:
        self.places = places
        self._capacity = capacity or Capacity(places)
        self.queue = queue
        self.seconds = seconds
        self._inside = 0
        self._working = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(places, thread_name_prefix="facecraft-work", initializer=stand_back)
        self._tickets: set[Ticket] = set()

    @property
    def inside(self) -> int:
        """How many requests are admitted and not yet answered."""
        return self._inside

    @property
    def working(self) -> int:
        """How many threads work at this moment."""
        return self._working

    @contextmanager
    def admit(self) -> Iterator[Ticket]:
        """Admit a request for the time of a ``with`` block. Raises BusyError."""
        if self._inside >= self.places + self.queue:
            raise BusyError
        self._inside += 1
        loop = asyncio.get_running_loop()
        ticket = Ticket(loop.time() + self.seconds)
        alarm = loop.call_at(ticket.deadline, lambda: ticket.stop(DeadlineError()))
        self._tickets.add(ticket)
        try:
            yield ticket
        finally:
            alarm.cancel()
            ticket.cancel.cancel()
            self._tickets.discard(ticket)
            self._inside -= 1

    async def run(self, work: Callable[[], T], ticket: Ticket | None = None) -> T:
        """Run ``work`` in a worker thread and return its result.

        Raises what ``work`` raises, and the reason why ``ticket`` was stopped.
        """
        context = contextvars.copy_context()
        future = asyncio.get_running_loop().run_in_executor(self._threads, context.run, self._counted, work, ticket)
        if ticket is None:
            return await future
        try:
            waited: set[asyncio.Future[T] | asyncio.Future[FacecraftError]] = {future, ticket.stopped}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not future.done():
                future.cancel()
        if ticket.stopped.done():
            raise ticket.stopped.result()
        return await future

    def _counted(self, work: Callable[[], T], ticket: Ticket | None) -> T:
        with self._capacity.place():
            if ticket is not None:
                ticket.cancel.check()  # its caller may have left while it waited for the place
            with self._lock:
                self._working += 1
            try:
                return work()
            finally:
                with self._lock:
                    self._working -= 1

    def close(self) -> None:
        """Cancel what is under way and wait until every thread has ended."""
        for ticket in tuple(self._tickets):
            ticket.stop(CancelledError("The server is stopping."))
        self._threads.shutdown(wait=True, cancel_futures=True)
