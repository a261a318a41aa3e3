"""`Resolving`: work that cannot be stopped, such as asking for the addresses of a name, in threads nobody waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

import anyio

from facecraft.errors import FacecraftError

T = TypeVar("T")

THREADS = 128
"""Most names that are asked for at once. A name server that keeps silent holds a thread far longer than the attempt
lasts that wanted its answer (resolv.conf(5): 5 seconds, twice, for each server), so there are more than attempts."""


class Resolving(Generic[T]):
    """Does blocking work in threads of its own. Belongs to one event loop.

    They take nothing from the threads that ask the database, and a process that ends does not wait for them.
    """

    def __init__(self, *, threads: int = THREADS) -> None:
        """Make it inside of its event loop."""
        self._free = anyio.Semaphore(threads)

    async def do(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns, or raise the FacecraftError that it raises; whoever is cancelled leaves at once.

        A thread counts until its work is done, even when nobody wants that any more.
        """
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def over(settle: Callable[[], None] | None) -> None:
            self._free.release()
            if settle is not None and not answer.done():
                settle()

        def run() -> None:
            settle: Callable[[], None] | None = None
            try:
                settle = partial(answer.set_result, work())
            except FacecraftError as error:
                settle = partial(answer.set_exception, error)
            finally:
                with suppress(RuntimeError):  # the loop was closed meanwhile
                    loop.call_soon_threadsafe(over, settle)

        threading.Thread(target=run, name="facecraft-resolving", daemon=True).start()
        return await answer
