"""To forget a few jobs costs the same among a million that are kept."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from facecraft.db.ids import new_id
from facecraft.db.opening import open_database
from facecraft.jobs.job import Item, JobState, NewJob
from facecraft.jobs.repository import JobRepository
from facecraft.jobs.tasks import PipelineTask
from facecraft.pipelines.pipeline import Pipeline

JOB = NewJob(None, PipelineTask(pipeline=Pipeline()), (Item(0, None, {}),))


def test_what_is_kept_is_not_looked_at(tmp_path: Path) -> None:
    said: list[tuple[str, tuple[object, ...]]] = []
    with open_database(f"sqlite:///{tmp_path / 'facecraft.db'}", migrate=True) as database:
        jobs = JobRepository(database, retention=timedelta(microseconds=1))
        for _ in range(120):
            jobs.record(JOB, job_id=new_id())

        @sa.event.listens_for(database.engine, "before_cursor_execute")
        def listen(_connection: object, _cursor: object, said_: str, values: tuple[object, ...], *_: object) -> None:
            if said_.startswith(("SELECT", "UPDATE", "DELETE")):
                said.append((said_, values))

        assert jobs.sweep() == 120
        sa.event.remove(database.engine, "before_cursor_execute", listen)
        assert jobs.counts()[JobState.SUCCEEDED] == 0
        with database.read() as connection:
            steps = {
                row.detail
                for statement, values in said
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            }
    of_jobs = {step for step in steps if " jobs " in f"{step} "}
    assert of_jobs == {
        "SEARCH jobs USING INDEX ix_jobs_expires_at (expires_at<?)",
        "SEARCH jobs USING INDEX sqlite_autoindex_jobs_1 (id=?)",
        "SEARCH jobs USING COVERING INDEX sqlite_autoindex_jobs_1 (id=?)",
    }
    assert not [step for step in steps if step.startswith("SCAN")]
