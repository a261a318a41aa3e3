"""Who waits for the end of a job is told, wherever it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from facecraft.api.watching.endings import Ending, Endings
from facecraft.db.database import Database
from facecraft.errors import StorageError
from facecraft.jobs.job import Item, Job, JobState, NewJob
from facecraft.jobs.performing import Product
from facecraft.jobs.repository import JobRepository
from facecraft.jobs.tasks import PipelineTask
from facecraft.pipelines.pipeline import Pipeline

SOON = 0.01
NEVER = 3600.0


class Counting(JobRepository):
    """A repository that counts how often it is asked."""

    asked = 0
    broken = False

    def states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        self.asked += 1
        if self.broken:
            raise StorageError
        return super().states(job_ids)


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Counting]:
    with Database.open(f"sqlite:///{tmp_path / 'facecraft.db'}") as database:
        database.migrate()
        yield Counting(database)


def add(jobs: JobRepository) -> Job:
    return jobs.add(NewJob(None, PipelineTask(pipeline=Pipeline()), (Item(0, None, {}),)))


def run(jobs: JobRepository, work: Callable[[Endings], Coroutine[Any, Any, Any]], *, seconds: float = SOON) -> Any:
    async def all_of_it() -> Any:
        endings = Endings(jobs, seconds=seconds)
        try:
            async with asyncio.timeout(20):
                return await work(endings)
        finally:
            await endings.close()

    return asyncio.run(all_of_it())


def test_an_end_in_this_process_is_told_without_asking_the_database(jobs: Counting) -> None:
    job = add(jobs)

    async def work(endings: Endings) -> list[Ending | None]:
        waiting = [asyncio.create_task(endings.wait(job.id, seconds=10)) for _ in range(3)]
        await asyncio.sleep(SOON)
        await asyncio.to_thread(endings.say, job)
        return await asyncio.gather(*waiting)

    assert run(jobs, work, seconds=NEVER) == [Ending(job)] * 3
    assert jobs.asked == 0


def test_who_waits_is_handed_what_was_made_once_it_is_kept(jobs: Counting) -> None:
    job = add(jobs)

    async def work(endings: Endings) -> tuple[bool, Ending | None]:
        waiting = asyncio.create_task(endings.wait(job.id, seconds=10))
        await asyncio.sleep(SOON)
        await asyncio.to_thread(endings.hand, job.id, (Product("result.png", "image/png", b"png"),))
        await asyncio.sleep(3 * SOON)
        early = waiting.done()
        await asyncio.to_thread(endings.say, job)
        return early, await waiting

    assert run(jobs, work, seconds=NEVER) == (False, Ending(job, {"result.png": b"png"}))


def test_nothing_is_held_for_nobody(jobs: Counting) -> None:
    job = add(jobs)

    async def work(endings: Endings) -> Ending | None:
        endings.hand(job.id, (Product("result.png", "image/png", b"png"),))
        await asyncio.sleep(SOON)
        waiting = asyncio.create_task(endings.wait(job.id, seconds=10))
        await asyncio.sleep(SOON)
        endings.say(job)
        return await waiting

    assert run(jobs, work, seconds=NEVER) == Ending(job)


def test_an_end_just_before_is_not_missed(jobs: Counting) -> None:
    job = add(jobs)

    async def work(endings: Endings) -> Ending | None:
        await asyncio.to_thread(endings.say, job)
        await asyncio.sleep(SOON)
        return await endings.wait(job.id, seconds=10)

    assert run(jobs, work, seconds=NEVER) == Ending()


def test_an_end_in_another_process_is_found(jobs: Counting) -> None:
    job = add(jobs)

    async def work(endings: Endings) -> Ending | None:
        waiting = asyncio.create_task(endings.wait(job.id, seconds=10))
        await asyncio.sleep(3 * SOON)
        jobs.cancel(None, job.id)
        return await waiting

    assert run(jobs, work) == Ending()


def test_who_has_waited_long_enough_is_let_go(jobs: Counting) -> None:
    job = add(jobs)

    async def work(endings: Endings) -> Ending | None:
        return await endings.wait(job.id, seconds=3 * SOON)

    assert run(jobs, work) is None


def test_a_job_that_is_deleted_ends_no_more(jobs: Counting) -> None:
    job = add(jobs)

    async def work(endings: Endings) -> Ending | None:
        waiting = asyncio.create_task(endings.wait(job.id, seconds=10))
        await asyncio.sleep(3 * SOON)
        jobs.delete(None, job.id)
        return await waiting

    assert run(jobs, work) is None


def test_nobody_waits_for_a_server_that_stops(jobs: Counting) -> None:
    job = add(jobs)

    async def work(endings: Endings) -> tuple[Ending | None, Ending | None]:
        waiting = asyncio.create_task(endings.wait(job.id, seconds=10))
        await asyncio.sleep(SOON)
        endings.end()
        return await waiting, await endings.wait(job.id, seconds=10)

    assert run(jobs, work) == (None, None)


def test_the_database_is_asked_only_while_somebody_waits(jobs: Counting) -> None:
    job = add(jobs)

    async def work(endings: Endings) -> tuple[int, int]:
        await asyncio.sleep(5 * SOON)
        idle = jobs.asked
        await endings.wait(job.id, seconds=5 * SOON)
        await asyncio.sleep(3 * SOON)
        after = jobs.asked
        await asyncio.sleep(5 * SOON)
        return idle, jobs.asked - after

    assert run(jobs, work) == (0, 0)
    assert jobs.asked


def test_a_database_that_is_away_for_a_moment_lets_nobody_go(jobs: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facecraft.api.watching.endings.TROUBLE_SECONDS", SOON)
    job = add(jobs)
    jobs.broken = True

    async def work(endings: Endings) -> Ending | None:
        waiting = asyncio.create_task(endings.wait(job.id, seconds=10))
        while jobs.asked < 2:
            await asyncio.sleep(SOON)
        jobs.cancel(None, job.id)
        jobs.broken = False
        return await waiting

    assert run(jobs, work) == Ending()
