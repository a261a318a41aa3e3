"""Events of jobs for everybody who listens: one task asks the database, however many streams are open.

The task asks for the number of the newest event of every job that anybody listens to, in one question, and reads
only what is new. Listeners of one job share a short tail of its events; who is further behind (who came late, or
whose line is slow) reads from the database. So no stream holds a queue of its own, and none is ever lost an event.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import anyio
import anyio.to_thread

from facecraft import telemetry
from facecraft.errors import StorageError, TooManyStreamsError
from facecraft.jobs.job import ENDED, Event, Job
from facecraft.jobs.repository import JobRepository

T = TypeVar("T")

POLL_SECONDS = 0.25
"""How often the database is asked while anybody listens."""
TOGETHER_SECONDS = 0.01
"""How long it is not asked after a nudge: jobs that end at about the same time are one question."""
TAIL = 200
"""Events of one job that its listeners share."""
PAGE = 500
"""Events that are read at once."""
TROUBLE_SECONDS = 1.0
"""How long a database that could not be read is left alone."""
SHARE = 10
"""One user has one of so many parts of all streams."""
READERS = 4
"""Threads that read for all streams together."""

log = telemetry.logger("api")


class _Channel:
    """One job that somebody listens to."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.listeners = 0
        self.count = 0
        """The number of its newest event that is known."""
        self.tail: deque[Event] = deque(maxlen=TAIL)
        self.gone = False
        self.reading = asyncio.Lock()
        self._changed = asyncio.Event()

    def extend(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.number > self.count:
                self.tail.append(event)
                self.count = event.number
        self.wake()

    def wake(self) -> None:
        """Let everybody who waits look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def after(self, number: int) -> tuple[Event, ...] | None:
        """Return the events after ``number``; None when the tail does not reach back so far."""
        if number >= self.count:
            return ()
        if not self.tail or self.tail[0].number > number + 1:
            return None
        return tuple(event for event in self.tail if event.number > number)

    async def news(self, number: int, seconds: float) -> bool:
        """Wait until there may be something after ``number``, and return whether that was within ``seconds``."""
        changed = self._changed
        if self.count > number or self.gone:
            return True
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            return False
        return True


class EventFeed:
    """What happens to jobs, as it happens. Belongs to one event loop."""

    def __init__(self, jobs: JobRepository, *, seconds: float = POLL_SECONDS, limit: int = 1000) -> None:
        """At most ``limit`` streams are open at once."""
        self._jobs = jobs
        self._limit = limit
        self._open: Counter[str | None] = Counter()
        self._seconds = seconds
        self._channels: dict[str, _Channel] = {}
        self._limiter = anyio.CapacityLimiter(READERS)
        self._wanted = asyncio.Event()
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._ending = False
        self._task = asyncio.create_task(self._watch(), name="facecraft-event-feed")

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return sum(channel.listeners for channel in self._channels.values())

    def nudge(self, _: Job) -> None:
        """Look now instead of at the next turn, because a job has ended here. May be called from any thread."""
        with suppress(RuntimeError):  # the loop has ended: nobody listens any more
            self._loop.call_soon_threadsafe(self._news.set)

    def end(self) -> None:
        """End every stream, and those that are opened from now on."""
        self._ending = True
        for channel in self._channels.values():
            channel.gone = True
            channel.wake()

    async def close(self) -> None:
        """End every stream, and the task."""
        self.end()
        self._task.cancel()
        await asyncio.wait([self._task])

    @contextmanager
    def place(self, owner: str | None) -> Iterator[None]:
        """Hold the place of one stream for ``owner``, who has a tenth of all of them (None: all). Raises TooManyStreamsError."""
        share = self._limit if owner is None else max(1, self._limit // SHARE)
        if self._open.total() >= self._limit or self._open[owner] >= share:
            raise TooManyStreamsError
        self._open[owner] += 1
        try:
            yield
        finally:
            self._open -= Counter([owner])

    async def follow(self, job_id: str, *, after: int = 0, quiet: float = 15.0) -> AsyncGenerator[tuple[Event, ...]]:
        """Yield what happened after the event of that number, as it happens, until the job has ended or is gone.

        An empty tuple says that nothing happened for ``quiet`` seconds. Raises StorageError.
        """
        with self._listening(job_id) as channel:
            number = after
            while True:
                events = channel.after(number) if channel.count else None
                if events is None:
                    events = await self._history(channel, number)
                if events:
                    number = events[-1].number
                    yield events
                    ended = events[-1].type in ENDED and number >= channel.count
                    if ended and (len(events) < PAGE or not await self._more(job_id, number)):
                        return
                elif channel.gone:
                    return
                elif not await channel.news(number, quiet):
                    yield ()

    async def _history(self, channel: _Channel, number: int) -> tuple[Event, ...]:
        """Read what happened after ``number``; many who come at once for one job read it once."""
        async with channel.reading:
            known = channel.after(number) if channel.count else None
            if known is None:
                known = await self._read(lambda: self._jobs.events(channel.job_id, after=number, limit=PAGE))
                channel.extend(known)
            return known

    async def _more(self, job_id: str, number: int) -> bool:
        """Whether anything happened after ``number``: a full page does not say whether it is the last."""
        return bool(await self._read(lambda: self._jobs.events(job_id, after=number, limit=1)))

    @contextmanager
    def _listening(self, job_id: str) -> Iterator[_Channel]:
        channel = self._channels.setdefault(job_id, _Channel(job_id))
        channel.gone = channel.gone or self._ending
        channel.listeners += 1
        self._wanted.set()
        try:
            yield channel
        finally:
            channel.listeners -= 1
            if not channel.listeners:
                self._channels.pop(job_id, None)

    async def _read(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def _watch(self) -> None:
        while True:
            await self._wanted.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._news.wait()
                await asyncio.sleep(TOGETHER_SECONDS)
            self._news.clear()
            if not self._channels:
                self._wanted.clear()
                continue
            try:
                await self._look()
            except StorageError as error:
                log.warning("events of jobs could not be read: %s", error.message, extra={"detail": error.detail})
                await asyncio.sleep(TROUBLE_SECONDS)

    async def _look(self) -> None:
        watched = list(self._channels.values())
        counts = await self._read(lambda: self._jobs.event_counts([channel.job_id for channel in watched]))
        behind: list[tuple[_Channel, int]] = []
        for channel in watched:
            if channel.job_id not in counts:
                channel.gone = True
                channel.wake()
            elif counts[channel.job_id] > channel.count:
                behind.append((channel, channel.count or counts[channel.job_id] - TAIL))
        if not behind:
            return

        def news() -> list[tuple[Event, ...]]:
            return [self._jobs.events(channel.job_id, after=max(0, count), limit=PAGE) for channel, count in behind]

        for (channel, _), events in zip(behind, await self._read(news), strict=True):
            channel.extend(events)
