"""Requests that wait for the end of a job: told at once when it ends in this process, and soon when in another.

Who waits while the job is done here is handed what was made, too: to read it back from the store and the database
would take longer than all else that the answer needs.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
import anyio.to_thread

from facecraft import telemetry
from facecraft.errors import StorageError
from facecraft.jobs.job import ENDED, Job
from facecraft.jobs.performing import Product
from facecraft.jobs.repository import JobRepository

POLL_SECONDS = 0.25
"""How often the database is asked while anybody waits, where jobs end in other processes."""
SELDOM_SECONDS = 1.0
"""The same where they end in this one, and another server may only help."""
TROUBLE_SECONDS = 1.0
"""How long a database that could not be read is left alone."""
REMEMBERED = 1000
"""Ends in this process that are remembered for who begins to wait a moment later."""

log = telemetry.logger("api")


@dataclass(frozen=True, slots=True)
class Ending:
    """That a job has ended, with what is known of it in this process."""

    job: Job | None = None
    """How it ended; None when the database knows better: it ended a while ago, or in another process."""
    made: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Its files by name where they are still in memory; otherwise empty."""


class Endings:
    """Ends of jobs for who waits for them. Belongs to one event loop.

    A job that ends in this process costs its waiters no question to the database. For the others one task asks, about
    all jobs at once, however many wait.
    """

    def __init__(self, jobs: JobRepository, *, seconds: float = POLL_SECONDS) -> None:
        self._jobs = jobs
        self._seconds = seconds
        self._waiting: defaultdict[str, list[asyncio.Future[Ending | None]]] = defaultdict(list)
        self._made: dict[str, Mapping[str, bytes]] = {}
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._limiter = anyio.CapacityLimiter(1)
        self._wanted = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._ending = False
        self._task = asyncio.create_task(self._watch(), name="facecraft-endings")

    def hand(self, job_id: str, products: tuple[Product, ...]) -> None:
        """Hand what was made of the only picture of a job to who waits for it. May be called from any thread.

        It is shown to nobody before :meth:`say` tells that it is kept.
        """
        self._do(lambda: self._handed(job_id, products))

    def say(self, job: Job) -> None:
        """Tell who waits for ``job`` that it has ended. May be called from any thread."""
        self._do(lambda: self._said(job))

    async def wait(self, job_id: str, *, seconds: float) -> Ending | None:
        """Wait until a job has ended; None when it has not within ``seconds``, and for one that is gone."""
        if job_id in self._recent:
            return Ending()
        if self._ending:
            return None
        told: asyncio.Future[Ending | None] = self._loop.create_future()
        self._waiting[job_id].append(told)
        self._wanted.set()
        try:
            async with asyncio.timeout(seconds):
                return await told
        except TimeoutError:
            return None
        finally:
            self._waiting[job_id].remove(told)
            if not self._waiting[job_id]:
                del self._waiting[job_id]
                self._made.pop(job_id, None)

    def end(self) -> None:
        """Let nobody wait any longer."""
        self._ending = True
        for job_id in tuple(self._waiting):
            self._tell(job_id, None)

    async def close(self) -> None:
        """Let nobody wait any longer, and end the task."""
        self.end()
        self._task.cancel()
        await asyncio.wait([self._task])

    def _do(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            self._loop.call_soon_threadsafe(call)

    def _handed(self, job_id: str, products: tuple[Product, ...]) -> None:
        if job_id in self._waiting:
            self._made[job_id] = {product.name: product.data for product in products}

    def _said(self, job: Job) -> None:
        self._recent[job.id] = None
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        self._tell(job.id, Ending(job, self._made.pop(job.id, {})))

    def _tell(self, job_id: str, ending: Ending | None) -> None:
        for told in self._waiting.get(job_id, ()):
            if not told.done():
                told.set_result(ending)

    async def _watch(self) -> None:
        while True:
            await self._wanted.wait()
            await asyncio.sleep(self._seconds)
            asked = list(self._waiting)
            if not asked:
                self._wanted.clear()
                continue
            try:
                states = await anyio.to_thread.run_sync(self._jobs.states, asked, limiter=self._limiter)
            except StorageError as error:
                log.warning("ends of jobs could not be read: %s", error.message, extra={"detail": error.detail})
                await asyncio.sleep(TROUBLE_SECONDS)
                continue
            for job_id in asked:
                state = states.get(job_id)
                if state is None or state in ENDED:
                    self._tell(job_id, None if state is None else Ending())
