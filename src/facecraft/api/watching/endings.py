"""Requests that wait for the end of a job: told at once when it ends in this process, and soon when in another."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from contextlib import suppress

import anyio
import anyio.to_thread

from facecraft import telemetry
from facecraft.errors import StorageError
from facecraft.jobs.job import ENDED, Job
from facecraft.jobs.repository import JobRepository

POLL_SECONDS = 0.25
"""How often the database is asked while anybody waits."""
TROUBLE_SECONDS = 1.0
"""How long a database that could not be read is left alone."""
REMEMBERED = 1000
"""Ends in this process that are remembered for who begins to wait a moment later."""

log = telemetry.logger("api")


class Endings:
    """Ends of jobs for who waits for them. Belongs to one event loop.

    A job that ends in this process costs its waiters no question to the database. For the others one task asks, about
    all jobs at once, however many wait.
    """

    def __init__(self, jobs: JobRepository, *, seconds: float = POLL_SECONDS) -> None:
        self._jobs = jobs
        self._seconds = seconds
        self._waiting: defaultdict[str, list[asyncio.Future[bool]]] = defaultdict(list)
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._limiter = anyio.CapacityLimiter(1)
        self._wanted = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._ending = False
        self._task = asyncio.create_task(self._watch(), name="facecraft-endings")

    def say(self, job: Job) -> None:
        """Tell who waits for ``job`` that it has ended. May be called from any thread."""
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            self._loop.call_soon_threadsafe(self._said, job.id)

    async def wait(self, job_id: str, *, seconds: float) -> bool:
        """Wait until a job has ended; return whether it has within ``seconds``. False for one that is gone."""
        if job_id in self._recent:
            return True
        if self._ending:
            return False
        told: asyncio.Future[bool] = self._loop.create_future()
        self._waiting[job_id].append(told)
        self._wanted.set()
        try:
            async with asyncio.timeout(seconds):
                return await told
        except TimeoutError:
            return False
        finally:
            self._waiting[job_id].remove(told)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    def end(self) -> None:
        """Let nobody wait any longer."""
        self._ending = True
        for job_id in tuple(self._waiting):
            self._tell(job_id, ended=False)

    async def close(self) -> None:
        """Let nobody wait any longer, and end the task."""
        self.end()
        self._task.cancel()
        await asyncio.wait([self._task])

    def _said(self, job_id: str) -> None:
        self._recent[job_id] = None
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        self._tell(job_id, ended=True)

    def _tell(self, job_id: str, *, ended: bool) -> None:
        for told in self._waiting.get(job_id, ()):
            if not told.done():
                told.set_result(ended)

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
                    self._tell(job_id, ended=state is not None)
