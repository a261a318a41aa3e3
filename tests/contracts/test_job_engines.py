"""What every engine promises: the same suite over real processes, embedded and Celery, on SQLite and Postgres."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from facecraft.db.tables import JOBS
from facecraft.errors import JobStateError
from facecraft.jobs.job import PICTURE, Input, Item, Job, JobState, NewJob
from facecraft.jobs.repository import Also
from facecraft.testing import BROKEN
from services.fleet import TASK, Fleet
from services.redis_server import run_redis


class Site:
    """A fleet with one process, which a test may take away and another brings back."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.process: subprocess.Popen[bytes] | None = fleet.start()

    def running(self) -> Fleet:
        if self.process is None:
            self.process = self.fleet.start()
        return self.fleet

    def taken(self) -> subprocess.Popen[bytes]:
        process, self.process = self.process, None
        assert process is not None
        return process


@pytest.fixture(scope="module", params=["embedded-sqlite", "embedded-postgres", "celery-postgres"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    engine, _, database = request.param.partition("-")
    folder: Path = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        broker = stack.enter_context(run_redis()).url if engine == "celery" else None
        url = f"sqlite:///{folder / 'facecraft.db'}"
        if database == "postgres":
            url = stack.enter_context(request.getfixturevalue("postgres").database())
        yield Site(stack.enter_context(Fleet(engine, url, folder, broker=broker, seconds=0.24, grace=0.1)))


@pytest.fixture
def fleet(site: Site) -> Fleet:
    return site.running()


def fractions(fleet: Fleet, job: Job) -> list[float]:
    return [float(str(event.data["fraction"])) for event in fleet.jobs.repository.events(job.id)]


def test_a_picture_becomes_its_artifacts(fleet: Fleet) -> None:
    job = fleet.wait(fleet.submit(b"picture"))
    assert (job.state, job.succeeded, job.failed, job.fraction, job.attempt) == (JobState.SUCCEEDED, 1, 0, 1.0, 1)
    blobs = fleet.jobs.blobs.artifacts(job.id)
    assert [(blob.name, blob.media_type) for blob in blobs] == [
        ("result.png", "image/png"),
        ("result.json", "application/json"),
    ]
    assert fleet.jobs.blobs.read(blobs[0]) == b"picture"


def test_the_events_tell_the_whole_story(fleet: Fleet) -> None:
    job = fleet.wait(fleet.submit(*[b"picture"] * 4))
    events = fleet.jobs.repository.events(job.id)
    types = [event.type for event in events]
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert types[:2] == ["queued", "running"]
    assert types[-2:] == ["item", "succeeded"]
    assert set(types[2:-1]) == {"progress", "item"}
    assert {event.data["stage"] for event in events if event.type == "progress"} <= {
        "decode", "stage-0", "stage-1", "stage-2",
    }  # fmt: skip
    told = fractions(fleet, job)
    assert told == sorted(told)


def test_one_bad_picture_fails_its_item_alone(fleet: Fleet) -> None:
    job = fleet.wait(fleet.submit(b"a", BROKEN, b"c"))
    assert (job.state, job.succeeded, job.failed, job.failure) == (JobState.SUCCEEDED, 2, 1, None)
    assert fleet.names(job) == ["0001-result.png", "0001-result.json", "0003-result.png", "0003-result.json"]
    failures = [item.failure for item in fleet.jobs.repository.items(None, job.id)]
    assert [failure.code if failure else None for failure in failures] == [None, "image_unreadable", None]
    told = fractions(fleet, job)
    assert told == sorted(told)


def test_a_job_of_bad_pictures_fails_with_the_reason_of_the_first(fleet: Fleet) -> None:
    job = fleet.wait(fleet.submit(BROKEN, BROKEN))
    assert (job.state, job.attempt, fleet.names(job)) == (JobState.FAILED, 1, [])
    assert job.failure is not None
    assert job.failure.code == "image_unreadable"


def test_a_picture_that_is_gone_is_a_failure_and_not_a_wait(fleet: Fleet) -> None:
    job = fleet.wait(fleet.send(str(uuid.uuid4())))
    assert job.failure is not None
    assert (job.state, job.attempt, job.failure.code) == (JobState.FAILED, 1, "blob_not_found")


def test_a_running_job_stops_when_somebody_cancels_it(fleet: Fleet) -> None:
    job = fleet.submit(*[b"picture"] * 12)
    fleet.wait(job, JobState.RUNNING)
    fleet.jobs.repository.cancel(None, job.id)
    ended = fleet.wait(job)
    assert ended.state is JobState.CANCELLED
    assert ended.succeeded < 12
    assert fleet.types(job)[-1] == "cancelled"
    assert fleet.wait(fleet.submit(b"next")).state is JobState.SUCCEEDED


def test_a_job_that_takes_too_long_fails(fleet: Fleet) -> None:
    job = fleet.wait(fleet.submit(*[b"picture"] * 12, timeout_seconds=0.5))
    assert job.failure is not None
    assert (job.state, job.failure.code) == (JobState.FAILED, "deadline_exceeded")


def test_a_stopped_worker_gives_its_job_back_and_another_ends_it(site: Site) -> None:
    fleet = site.running()
    job = fleet.submit(*[b"picture"] * 4)
    fleet.wait(job, JobState.RUNNING)
    while fleet.get(job).succeeded < 1:
        time.sleep(0.02)
    assert fleet.stop(site.taken()) == 0
    waiting = fleet.get(job)
    assert (waiting.state, waiting.attempt) == (JobState.QUEUED, 0)
    assert fleet.jobs.workers.alive() == ()
    done = waiting.succeeded
    site.running()
    ended = fleet.wait(job)
    assert (ended.state, ended.succeeded, ended.attempt) == (JobState.SUCCEEDED, 4, 1)
    assert done >= 1
    assert fleet.types(job).count("item") == 4  # what was finished before is not done again


def test_a_killed_worker_costs_an_attempt_and_nothing_else(site: Site) -> None:
    fleet = site.running()
    job = fleet.submit(*[b"picture"] * 4)
    fleet.wait(job, JobState.RUNNING)
    while fleet.get(job).succeeded < 1:
        time.sleep(0.02)
    fleet.kill(site.taken())
    site.running()
    ended = fleet.wait(job)
    assert (ended.state, ended.succeeded, ended.attempt) == (JobState.SUCCEEDED, 4, 2)
    assert fleet.types(job).count("item") == 4
    assert len(fleet.names(job)) == 8
    assert fleet.overlaps() == []


def test_a_job_whose_message_was_lost_is_done_before_those_that_came_later(fleet: Fleet) -> None:
    fleet.wait(fleet.submit(b"the worker is there"))

    def told(job: Job, _: int | None) -> Also:
        return lambda connection: connection.execute(  # type: ignore[return-value]
            JOBS.update().where(JOBS.c.id == job.id).values(sent_at=fleet.jobs.repository.clock())
        )

    item = Item(0, "lost-0", {PICTURE: Input(fleet.upload(b"picture"), temporary=True)})
    lost = fleet.jobs.repository.add(NewJob(None, TASK, (item,)), added=told)
    later = [fleet.submit(b"picture") for _ in range(6)]
    fleet.wait(lost)
    assert [job for job in later if fleet.get(job).state is JobState.QUEUED]
    for job in later[:-1]:
        fleet.wait(job)
    with suppress(JobStateError):  # one message was lost, and the broker's queue is empty: the last waits to be told of
        fleet.jobs.repository.cancel(None, later[-1].id)
    fleet.wait(later[-1])
