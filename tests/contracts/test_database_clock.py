"""Machines that share a database share its time, however wrong their own clocks are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from facecraft.db import clock as module
from facecraft.db.clock import DatabaseClock
from facecraft.db.database import Database
from facecraft.errors import StorageError
from facecraft.jobs.job import Item, NewJob
from facecraft.jobs.leases import Leases
from facecraft.jobs.repository import JobRepository
from facecraft.jobs.tasks import GPU, PipelineTask
from facecraft.pipelines.presets import CutoutPresetOptions
from services.postgres import run_postgres

TASK = PipelineTask(name="cutout", pipeline=CutoutPresetOptions(fill="red").pipeline())
WORKER = "01a1fc35-62b7-788a-bb7c-e52f40bb0f7c"


class Fast(datetime):
    """The clock of a machine that is an hour ahead."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(hours=1)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database.open(database_url) as opened:
        opened.migrate()
        yield opened


def test_it_is_now(database: Database) -> None:
    clock = DatabaseClock(database)
    first = clock()
    assert first.tzinfo is UTC
    assert abs(first - datetime.now(UTC)) < timedelta(seconds=5)
    time.sleep(0.01)
    assert clock() > first


def test_a_machine_that_is_ahead_takes_no_running_job_away(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if database.is_sqlite:
        pytest.skip("a file has no other machines")
    jobs = JobRepository(database)
    jobs.add(NewJob(None, TASK, (Item(0, None, {}),)))
    lease = Leases(jobs).claim([GPU], WORKER)
    assert lease is not None
    monkeypatch.setattr(module, "datetime", Fast)
    ahead = Leases(JobRepository(database))
    assert ahead.reclaim() == 0
    assert 20 < ahead.left(lease) <= 30
    assert ahead.renew([lease]).lost == frozenset()
    assert Leases(jobs).left(lease) > 20


def test_the_time_goes_on_while_the_database_is_away() -> None:
    with run_postgres() as server, server.database() as url, Database.open(url) as database:
        clock, late = DatabaseClock(database, seconds=0.0), DatabaseClock(database)
        first = clock()
        server.stop()
        try:
            time.sleep(0.01)
            assert clock() > first
            with pytest.raises(StorageError):
                late()
        finally:
            server.start()
        assert abs(late() - clock()) < timedelta(seconds=5)
