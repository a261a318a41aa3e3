"""Work that hangs in a library and never looks whether it shall stop: its job ends all the same, and somebody says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from facecraft.api.watching.parts import threads_part
from facecraft.db.opening import open_database
from facecraft.errors import PartNotReadyError
from facecraft.jobs import pulse
from facecraft.jobs.capacity import Capacity
from facecraft.jobs.config import JobConfig
from facecraft.jobs.embedded import EmbeddedEngine
from facecraft.jobs.job import PICTURE, Input, Item, Job, JobState, NewJob
from facecraft.jobs.opening import Jobs, open_jobs
from facecraft.jobs.performing import Product
from facecraft.jobs.tasks import QUEUES, PipelineTask, Task
from facecraft.pipelines.presets import CutoutPresetOptions
from facecraft.pipelines.stage import Watch
from facecraft.storage import ObjectBlobStore
from services.fleet import Fleet
from services.job_process import HANGING
from services.redis_server import run_redis

TASK = PipelineTask(name="cutout", pipeline=CutoutPresetOptions(fill="red").pipeline())
ELSEWHERE = "01a1fc35-62b7-788a-bb7c-e52f40bb0f7c"


class Hanging:
    """A performer that hangs until it is released, and then returns its product as if nothing had been."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.release = threading.Event()

    def __call__(
        self,
        task: Task,  # noqa: ARG002 - the signature of every performer
        pictures: Mapping[str, bytes],  # noqa: ARG002
        *,
        name: str | None,  # noqa: ARG002
        watch: Watch,  # noqa: ARG002 - that it does not look is the point
    ) -> tuple[Product, ...]:
        self.begun.set()
        assert self.release.wait(60)
        return (Product("result.json", "application/json", b"{}"),)


@pytest.fixture
def store() -> ObjectBlobStore:
    return ObjectBlobStore.memory()


@pytest.fixture
def jobs(tmp_path: Path, store: ObjectBlobStore) -> Iterator[Jobs]:
    with open_database(f"sqlite:///{tmp_path / 'facecraft.db'}", migrate=True) as database:
        yield open_jobs(database, store, JobConfig(), retention=None)


@pytest.fixture
def hanging() -> Hanging:
    return Hanging()


@pytest.fixture
def engine(jobs: Jobs, hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedEngine]:
    for name, seconds in (("OVERDUE", 0.3), ("UNWANTED", 0.6), ("STUCK", 1.2), ("BEAT", 0.1)):
        monkeypatch.setattr(pulse, f"{name}_SECONDS", seconds)
    opened = EmbeddedEngine(jobs, hanging, capacity=Capacity(1), device="cpu")
    opened.start()
    yield opened
    hanging.release.set()
    opened.close()


def until(met: Callable[[], object]) -> None:
    waiting = threading.Event()
    for _ in range(1000):
        if met():
            return
        waiting.wait(0.02)
    raise AssertionError("it never happened")


def submit(jobs: Jobs, *, timeout_seconds: float | None = None) -> Job:
    blobs = [jobs.blobs.receive(None, b"picture", name="p", media_type="image/png", expires_at=None) for _ in range(2)]
    items = tuple(Item(i, f"{i}", {PICTURE: Input(blob.id, temporary=True)}) for i, blob in enumerate(blobs))
    return jobs.repository.add(NewJob(None, TASK, items, timeout_seconds))


def ended(jobs: Jobs, job: Job) -> Job:
    until(lambda: jobs.repository.get(None, job.id).ended)
    return jobs.repository.get(None, job.id)


def seen(jobs: Jobs) -> datetime:
    (worker,) = jobs.workers.alive()
    return worker.seen_at


def test_a_job_that_hangs_fails_in_time_and_its_place_is_told_of(
    jobs: Jobs, engine: EmbeddedEngine, hanging: Hanging, caplog: pytest.LogCaptureFixture
) -> None:
    failed = ended(jobs, submit(jobs, timeout_seconds=0.2))
    assert (failed.state, failed.failed, failed.total) == (JobState.FAILED, 2, 2)
    assert failed.failure is not None
    assert (failed.failure.code, failed.failure.message) == (
        "deadline_exceeded",
        "The job took longer than 0.2 seconds.",
    )
    until(engine.dead)
    assert "unexpected" not in caplog.text
    assert [record.levelname for record in caplog.records if "without its worker" in record.message] == ["ERROR"]
    assert engine.dead() == ("job-0",)
    with pytest.raises(PartNotReadyError, match="stuck: job-0"):
        threads_part(engine.dead)._check()
    before = seen(jobs)
    threading.Event().wait(0.5)
    assert seen(jobs) == before  # so that the health check of a worker fails, too
    hanging.release.set()
    until(lambda: not engine.dead())
    until(lambda: seen(jobs) > before)


def test_nothing_is_kept_of_work_that_comes_back_after_its_job_was_tried_again(
    jobs: Jobs, store: ObjectBlobStore, engine: EmbeddedEngine, hanging: Hanging
) -> None:
    job = ended(jobs, submit(jobs, timeout_seconds=0.2))
    jobs.repository.retry(None, job.id)
    lease = jobs.leases.claim(QUEUES, ELSEWHERE)
    assert lease is not None
    hanging.release.set()
    until(lambda: not engine._pulse.busy)
    found = jobs.repository.get(None, job.id)
    assert (found.state, found.succeeded, found.failed) == (JobState.RUNNING, 0, 0)
    assert jobs.blobs.artifacts(job.id) == ()
    assert len(list(store.find(""))) == 2  # the uploads
    jobs.leases.finish(lease, JobState.SUCCEEDED)
    assert [event.type for event in jobs.repository.events(job.id) if event.type != "progress"] == [
        "queued", "running", "failed", "queued", "running", "succeeded",
    ]  # fmt: skip


def test_a_job_that_hangs_can_be_cancelled(jobs: Jobs, engine: EmbeddedEngine, hanging: Hanging) -> None:
    job = submit(jobs)
    assert hanging.begun.wait(20)
    jobs.repository.cancel(None, job.id)
    engine.stop(job.id)
    cancelled = ended(jobs, job)
    assert cancelled.state is JobState.CANCELLED
    assert {item.state for item in jobs.repository.items(None, job.id)} == {JobState.CANCELLED}
    jobs.blobs.erase_ids(jobs.repository.delete(None, job.id))
    hanging.release.set()
    until(lambda: not engine._pulse.busy)
    assert jobs.repository.list(None).items == ()


@pytest.mark.slow
def test_a_worker_with_work_that_hangs_can_be_stopped(tmp_path: Path) -> None:
    """Celery itself would wait for its thread for ever."""
    url = f"sqlite:///{tmp_path / 'facecraft.db'}"
    with run_redis() as redis, Fleet("celery", url, tmp_path, broker=redis.url, grace=0.1) as fleet:
        process = fleet.start()
        hangs, other = fleet.submit(HANGING, timeout_seconds=0.2), fleet.submit(b"picture")
        assert fleet.wait(other).state is JobState.SUCCEEDED
        assert fleet.wait(hangs).state is JobState.FAILED
        stopped = fleet.submit(HANGING)
        fleet.wait(stopped, JobState.RUNNING)
        assert fleet.stop(process) == 1
        fleet.start()
        until(lambda: fleet.get(stopped).attempt == 2)
