"""Outages of Redis that last: a worker that could not say that it is done with a message takes up others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facecraft.db.tables import JOBS
from facecraft.jobs.celery_worker import DEAF_EXIT_CODE
from facecraft.jobs.job import Job, JobState
from services.fleet import Fleet
from services.redis_server import RedisServer, run_redis

AWAY_SECONDS = 3.0
WITHIN_SECONDS = 20.0


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with run_redis() as server:
        yield server


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'facecraft.db'}"


@pytest.mark.parametrize("workers", [1, 2])
def test_an_outage_while_jobs_run_is_survived(workers: int, redis: RedisServer, tmp_path: Path) -> None:
    with Fleet("celery", url(tmp_path), tmp_path, broker=redis.url, seconds=1.0, places=1) as fleet:
        for _ in range(workers):
            fleet.start()
        jobs = [fleet.submit(b"picture") for _ in range(3 * workers)]
        fleet.wait_for_marks(workers)
        redis.stop()  # and with it every message
        time.sleep(AWAY_SECONDS)  # the jobs that run end meanwhile
        redis.start()
        fleet.wait_until_idle(WITHIN_SECONDS)
        began = len(fleet.begun())
        jobs += [fleet.submit(b"picture") for _ in range(2 * workers)]
        fleet.wait_until_idle(WITHIN_SECONDS)
        assert fleet.problems(jobs) == []
        assert len({line.split()[2] for line in fleet.begun()[began:]}) == workers


def test_every_place_works_again_after_an_outage(redis: RedisServer, tmp_path: Path) -> None:
    with Fleet("celery", url(tmp_path), tmp_path, broker=redis.url, seconds=1.0, places=2) as fleet:
        fleet.start()
        first = [fleet.submit(b"picture") for _ in range(2)]
        fleet.wait_for_marks(2)
        redis.stop()
        time.sleep(AWAY_SECONDS)
        redis.start()
        back = time.monotonic_ns()
        second = [fleet.submit(b"picture") for _ in range(4)]
        fleet.wait_until_idle(WITHIN_SECONDS)
        assert fleet.problems([*first, *second]) == []
        assert fleet.most_at_once(back) == 2


def test_an_outage_while_nothing_runs_is_survived(redis: RedisServer, tmp_path: Path) -> None:
    with Fleet("celery", url(tmp_path), tmp_path, broker=redis.url, seconds=0.1, places=1) as fleet:
        fleet.start()
        first = fleet.submit(b"picture")
        fleet.wait_until_idle(WITHIN_SECONDS)
        redis.stop()
        second = fleet.submit(b"picture")  # the broker cannot be told of it
        time.sleep(AWAY_SECONDS)
        redis.start()
        fleet.wait_until_idle(WITHIN_SECONDS)
        assert fleet.problems([first, second]) == []


def test_a_worker_that_hears_nothing_connects_anew(redis: RedisServer, tmp_path: Path) -> None:
    with Fleet("celery", url(tmp_path), tmp_path, broker=redis.url, places=1, patience=2.0, deaf=1) as fleet:
        jobs = told_long_ago(fleet)
        fleet.start()
        fleet.wait_until_idle(WITHIN_SECONDS)
        assert fleet.problems(jobs) == []
        wait_for_deaf_workers(fleet, 0)


def test_a_worker_that_stays_deaf_says_so_and_ends(redis: RedisServer, tmp_path: Path) -> None:
    with Fleet("celery", url(tmp_path), tmp_path, broker=redis.url, places=1, patience=2.0, deaf=100) as fleet:
        told_long_ago(fleet)
        process = fleet.start()
        wait_for_deaf_workers(fleet, 1)
        assert process.wait(WITHIN_SECONDS) == DEAF_EXIT_CODE
        assert fleet.jobs.workers.alive() == ()
        assert fleet.jobs.repository.counts()[JobState.QUEUED] == 2


def told_long_ago(fleet: Fleet) -> list[Job]:
    """Send jobs whose messages lie in the broker for as long as no worker that hears lets them."""
    jobs = [fleet.submit(b"picture") for _ in range(2)]
    deadline = time.monotonic() + WITHIN_SECONDS
    while fleet.jobs.hints.unheard(timedelta(0)) == () and time.monotonic() < deadline:
        time.sleep(0.05)
    with fleet.jobs.database.write() as connection:
        connection.execute(JOBS.update().values(sent_at=datetime.now(UTC) - timedelta(minutes=1)))
    return jobs


def wait_for_deaf_workers(fleet: Fleet, number: int) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    found = -1
    while found != number and time.monotonic() < deadline:
        time.sleep(0.1)
        found = sum(worker.deaf_since is not None for worker in fleet.jobs.workers.alive())
    assert found == number
