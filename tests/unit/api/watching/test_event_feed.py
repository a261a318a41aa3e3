"""One task that watches the database for everybody who listens."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from facecraft.api.stopping import when_told_to_stop
from facecraft.api.watching.event_feed import PAGE, TAIL, EventFeed
from facecraft.db.database import Database
from facecraft.errors import StorageError
from facecraft.jobs import rows
from facecraft.jobs.job import Event, Item, Job, JobState, NewJob
from facecraft.jobs.leases import Leases
from facecraft.jobs.repository import JobRepository
from facecraft.jobs.tasks import GPU, PipelineTask
from facecraft.pipelines.pipeline import Pipeline

WORKER = str(uuid.uuid4())
SOON = 0.01


class Counting(JobRepository):
    """A repository that counts how often it is asked."""

    asked = 0
    read = 0
    broken = False

    def event_counts(self, job_ids: Any) -> dict[str, int]:
        self.asked += 1
        if self.broken:
            raise StorageError
        return super().event_counts(job_ids)

    def events(self, job_id: str, *, after: int = 0, limit: int = PAGE) -> tuple[Event, ...]:
        self.read += 1
        return super().events(job_id, after=after, limit=limit)


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Counting]:
    with Database.open(f"sqlite:///{tmp_path / 'facecraft.db'}") as database:
        database.migrate()
        yield Counting(database)


def add(jobs: JobRepository) -> Job:
    return jobs.add(NewJob(None, PipelineTask(pipeline=Pipeline()), (Item(0, None, {}),)))


def run(jobs: JobRepository, work: Callable[[EventFeed], Coroutine[Any, Any, Any]]) -> Any:
    async def all_of_it() -> Any:
        feed = EventFeed(jobs, seconds=SOON)
        try:
            async with asyncio.timeout(30):
                return await work(feed)
        finally:
            await feed.close()

    return asyncio.run(all_of_it())


async def heard(feed: EventFeed, job: Job, after: int = 0) -> list[int]:
    return [event.number async for events in feed.follow(job.id, after=after) for event in events]


@pytest.mark.parametrize("more", [0, 1])
def test_a_story_that_fills_its_page_ends_too(jobs: Counting, more: int) -> None:
    job = add(jobs)
    leases = Leases(jobs)
    lease = leases.claim([GPU], WORKER)
    assert lease is not None
    with jobs.database.write() as connection:
        for number in range(3, PAGE + more):
            told = {"fraction": number / PAGE}
            rows.change(connection, rows.changing(), job.id, told, event="progress", now=jobs.clock())
    leases.finish(lease, JobState.SUCCEEDED)

    async def work(feed: EventFeed) -> list[int]:
        return await heard(feed, job)

    assert run(jobs, work) == list(range(1, PAGE + more + 1))


def test_many_who_come_at_once_share_one_reading(jobs: Counting) -> None:
    job = add(jobs)
    leases = Leases(jobs)

    async def work(feed: EventFeed) -> list[list[int]]:
        listeners = [asyncio.create_task(heard(feed, job)) for _ in range(100)]
        while feed.listeners < 100:
            await asyncio.sleep(SOON)
        lease = leases.claim([GPU], WORKER)
        assert lease is not None
        for step in range(5):
            leases.tell(lease, step / 10, "copy")
            await asyncio.sleep(3 * SOON)
        leases.finish(lease, JobState.SUCCEEDED)
        return list(await asyncio.gather(*listeners))

    assert run(jobs, work) == [list(range(1, 9))] * 100
    assert jobs.read <= 10


def test_a_story_longer_than_the_shared_tail_is_told_whole(jobs: Counting) -> None:
    job = add(jobs)
    leases = Leases(jobs)
    lease = leases.claim([GPU], WORKER)
    assert lease is not None
    for step in range(PAGE + TAIL):
        leases.tell(lease, step / 1000, "copy")
    leases.finish(lease, JobState.SUCCEEDED)
    total = jobs.get(None, job.id).event_count

    async def work(feed: EventFeed) -> tuple[list[int], ...]:
        return tuple(await asyncio.gather(heard(feed, job), heard(feed, job, after=total - 3), heard(feed, job, 10)))

    whole, end, most = run(jobs, work)
    assert whole == list(range(1, total + 1))
    assert end == [total - 2, total - 1, total]
    assert most == list(range(11, total + 1))


def test_an_attempt_that_failed_is_not_the_end_of_a_story_that_goes_on(jobs: Counting) -> None:
    job = add(jobs)
    jobs.cancel(None, job.id)
    jobs.retry(None, job.id)
    jobs.cancel(None, job.id)

    async def work(feed: EventFeed) -> list[int]:
        return await heard(feed, job)

    assert run(jobs, work) == [1, 2, 3, 4]


def test_nobody_is_asked_while_nobody_listens(jobs: Counting) -> None:
    async def work(_: EventFeed) -> None:
        await asyncio.sleep(10 * SOON)

    run(jobs, work)
    assert jobs.asked == 0


def test_silence_is_told(jobs: Counting) -> None:
    job = add(jobs)

    async def work(feed: EventFeed) -> tuple[int, int]:
        async with aclosing(feed.follow(job.id, quiet=SOON)) as story:
            first, then = await anext(story), await anext(story)
        return len(first), len(then)

    assert run(jobs, work) == (1, 0)


def test_a_database_that_is_away_for_a_moment_ends_no_stream(jobs: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facecraft.api.watching.event_feed.TROUBLE_SECONDS", SOON)
    job = add(jobs)

    async def work(feed: EventFeed) -> list[int]:
        listener = asyncio.create_task(heard(feed, job))
        await asyncio.sleep(3 * SOON)
        jobs.broken = True
        asked = jobs.asked
        while jobs.asked < asked + 3:
            await asyncio.sleep(SOON)
        jobs.cancel(None, job.id)
        jobs.broken = False
        return await listener

    assert run(jobs, work) == [1, 2]


def test_who_nudges_does_not_wait_for_the_next_turn(jobs: Counting) -> None:
    job = add(jobs)

    async def work() -> list[int]:
        feed = EventFeed(jobs, seconds=3600)
        try:
            listener = asyncio.create_task(heard(feed, job))
            while not feed.listeners:
                await asyncio.sleep(SOON)
            await asyncio.sleep(3 * SOON)
            jobs.cancel(None, job.id)
            await asyncio.to_thread(feed.nudge, job)
            async with asyncio.timeout(10):
                return await listener
        finally:
            await feed.close()

    assert asyncio.run(work()) == [1, 2]


def test_streams_end_with_the_server(jobs: Counting) -> None:
    job = add(jobs)

    async def work(feed: EventFeed) -> tuple[list[int], list[int]]:
        listener = asyncio.create_task(heard(feed, job))
        while not feed.listeners:
            await asyncio.sleep(SOON)
        await asyncio.sleep(3 * SOON)
        feed.end()
        return await listener, await heard(feed, job)

    assert run(jobs, work) == ([1], [1])


def test_the_signal_is_heard_by_both() -> None:
    told: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: told.append("server"))

    async def work() -> None:
        when_told_to_stop(lambda: told.append("streams"))
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            while len(told) < 2:
                await asyncio.sleep(SOON)

    try:
        asyncio.run(work())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert sorted(told) == ["server", "streams"]
