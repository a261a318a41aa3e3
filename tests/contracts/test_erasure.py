"""What is left of a deleted user: nothing, shown on SQLite and on a real Postgres."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from facecraft.db.database import Database
from facecraft.db.ids import new_id
from facecraft.db.tables import BLOBS, IDEMPOTENCY, JOBS, METADATA, WEBHOOKS
from facecraft.errors import JobStateError
from facecraft.jobs import blob_rows
from facecraft.jobs.config import JobConfig
from facecraft.jobs.erasure import erase_owner
from facecraft.jobs.job import Item, JobState, NewJob
from facecraft.jobs.opening import Jobs, open_jobs
from facecraft.jobs.performing import Product
from facecraft.jobs.tasks import GPU, PipelineTask
from facecraft.pipelines.presets import CutoutPresetOptions
from facecraft.storage import ObjectBlobStore

ANN, EVE = "ann", "eve"
WORKER = str(uuid.uuid4())


@pytest.fixture
def store() -> ObjectBlobStore:
    return ObjectBlobStore.memory()


@pytest.fixture
def jobs(database_url: str, store: ObjectBlobStore) -> Iterator[Jobs]:
    with Database.open(database_url) as database:
        database.migrate()
        yield open_jobs(database, store, JobConfig(), retention=timedelta(hours=1))


def new_job(owner: str) -> NewJob:
    return NewJob(
        owner, PipelineTask(name="cutout", pipeline=CutoutPresetOptions().pipeline()), (Item(0, "a.jpg", {}),)
    )


def keep(jobs: Jobs, owner: str) -> None:
    """Keep a finished job with one file, and an upload."""
    jobs.blobs.receive(owner, b"photo", name="a.jpg", media_type="image/jpeg", expires_at=None)
    job_id = new_id()
    made = jobs.blobs.save(owner, job_id, [Product("a.png", "image/png", b"bytes")], position=0, total=1)
    jobs.repository.record(new_job(owner), job_id=job_id, also=partial(blob_rows.place, blobs=made))


def owned(jobs: Jobs, owner: str) -> dict[str, int]:
    with jobs.database.read() as connection:
        counts = {
            table.name: connection.execute(
                sa.select(sa.func.count()).select_from(table).where(table.c.owner == owner)
            ).scalar_one()
            for table in METADATA.sorted_tables
            if "owner" in table.c
        }
    return {name: count for name, count in counts.items() if count}


def add_rows(jobs: Jobs, owner: str) -> None:
    moment = datetime.now(UTC)
    with jobs.database.write() as connection:
        connection.execute(
            sa.insert(WEBHOOKS).values(
                id=new_id(), owner=owner, url="https://example.org", types=[], secret="x", created_at=moment,
                updated_at=moment,
            )
        )  # fmt: skip
        connection.execute(
            sa.insert(IDEMPOTENCY).values(owner=owner, key="k", fingerprint="f", created_at=moment, expires_at=moment)
        )


def test_everything_goes_and_only_that(jobs: Jobs, store: ObjectBlobStore) -> None:
    for owner in (ANN, EVE):
        for _ in range(3):
            keep(jobs, owner)
        add_rows(jobs, owner)
    before = owned(jobs, EVE)
    assert before == owned(jobs, ANN) == {JOBS.name: 3, BLOBS.name: 6, WEBHOOKS.name: 1, IDEMPOTENCY.name: 1}
    erase_owner(jobs, ANN)
    assert owned(jobs, ANN) == {}
    assert owned(jobs, EVE) == before
    assert len(list(store.find(""))) == 6
    erase_owner(jobs, ANN)


def test_a_running_job_is_told_to_stop_and_waited_for(jobs: Jobs, store: ObjectBlobStore) -> None:
    jobs.repository.add(new_job(ANN))
    lease = jobs.leases.claim([GPU], WORKER)
    assert lease is not None
    with pytest.raises(JobStateError):
        erase_owner(jobs, ANN, patience=0.2)
    assert owned(jobs, ANN)[JOBS.name] == 1
    failed: list[BaseException] = []

    def erase() -> None:
        try:
            erase_owner(jobs, ANN, patience=20)
        except JobStateError as error:
            failed.append(error)

    waiting = threading.Thread(target=erase)
    waiting.start()
    jobs.leases.finish(lease, JobState.CANCELLED)
    waiting.join(30)
    assert failed == []
    assert not waiting.is_alive()
    assert owned(jobs, ANN) == {}
    assert list(store.find("")) == []
