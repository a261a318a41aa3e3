"""What is asked with every job must cost the same with a million jobs: it goes by an index, and sorts nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from facecraft.db.database import Database
from facecraft.db.ids import new_id
from facecraft.db.opening import open_database
from facecraft.jobs.blobs import Blobs
from facecraft.jobs.hints import Hints
from facecraft.jobs.job import Item, JobState, NewJob
from facecraft.jobs.leases import Leases
from facecraft.jobs.repository import JobRepository
from facecraft.jobs.tasks import QUEUES, PipelineTask
from facecraft.pipelines.pipeline import Pipeline
from facecraft.storage import ObjectBlobStore

JOB = NewJob("somebody", PipelineTask(pipeline=Pipeline()), (Item(0, None, {}),))


@dataclass(frozen=True)
class Opened:
    jobs: JobRepository
    leases: Leases
    blobs: Blobs


ASKED: dict[str, Callable[[Opened], object]] = {
    "add": lambda opened: opened.jobs.add(JOB),
    "list": lambda opened: opened.jobs.list("somebody"),
    "list by state": lambda opened: opened.jobs.list("somebody", states=[JobState.FAILED]),
    "list by name": lambda opened: opened.jobs.list("somebody", name="portrait"),
    "claim": lambda opened: opened.leases.claim(QUEUES, new_id()),
    "reclaim": lambda opened: opened.leases.reclaim(),
    "tell the broker": lambda opened: Hints(opened.jobs).unsent(timedelta(minutes=1)),
    "find what was not heard": lambda opened: Hints(opened.jobs).unheard(timedelta(minutes=1)),
    "quota": lambda opened: opened.blobs.used_bytes("somebody"),
    "sweep files": lambda opened: opened.blobs.sweep(),
    "forget jobs": lambda opened: opened.jobs.sweep(),
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'facecraft.db'}", migrate=True) as opened:
        yield opened


@pytest.mark.parametrize("name", ASKED)
def test_nothing_reads_all_jobs_or_sorts_them(database: Database, name: str) -> None:
    jobs = JobRepository(database)
    opened = Opened(jobs, Leases(jobs), Blobs(database, ObjectBlobStore.memory()))
    jobs.add(JOB)
    said: list[tuple[str, object]] = []

    @sa.event.listens_for(database.engine, "before_cursor_execute")
    def listen(_connection: object, _cursor: object, statement: str, values: object, *_: object) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            said.append((statement, values))

    ASKED[name](opened)
    sa.event.remove(database.engine, "before_cursor_execute", listen)
    assert said
    with database.read() as connection:
        plans = {
            statement: [
                row.detail
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[arg-type]
            ]
            for statement, values in said
        }
    for statement, plan in plans.items():
        slow = [step for step in plan if step in ("SCAN jobs", "SCAN blobs") or "FOR ORDER BY" in step]
        assert not slow, f"{slow} in {statement}"
