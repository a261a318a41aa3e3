"""What a worker does when something around it breaks: the store, the database, the clock, the performer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from facecraft.db.database import Database
from facecraft.db.opening import open_database
from facecraft.db.tables import JOBS
from facecraft.errors import DeviceMemoryError, InferenceError, LeaseLostError, StorageError
from facecraft.jobs.config import JobConfig
from facecraft.jobs.job import PICTURE, Failure, Input, Item, Job, JobState, Lease, NewJob
from facecraft.jobs.leases import End, Leases
from facecraft.jobs.opening import Jobs, open_jobs
from facecraft.jobs.pace import Pace, Tracker
from facecraft.jobs.performing import Performer, Product
from facecraft.jobs.pulse import Pulse, Stop
from facecraft.jobs.repository import Also, nothing
from facecraft.jobs.runner import JobRunner
from facecraft.jobs.tasks import GPU, FacesTask, PipelineTask
from facecraft.jobs.workers import Worker
from facecraft.pipelines.presets import CutoutPresetOptions
from facecraft.pipelines.stage import Watch
from facecraft.storage import ObjectBlobStore
from facecraft.testing import FakePerformer

TASK = PipelineTask(name="cutout", pipeline=CutoutPresetOptions(fill="red").pipeline())


class Raising:
    """A performer whose work is a function."""

    def __init__(self, work: Callable[[Watch], None]) -> None:
        self._work = work

    def __call__(
        self,
        task: PipelineTask | FacesTask,  # noqa: ARG002 - the signature of every performer
        pictures: Mapping[str, bytes],  # noqa: ARG002
        *,
        name: str | None,  # noqa: ARG002
        watch: Watch,
    ) -> tuple[Product, ...]:
        self._work(watch)
        return (Product("result.json", "application/json", b"{}"),)


class FlakyStore(ObjectBlobStore):
    """A store in memory that fails when it is told to."""

    failing = False

    def put(self, key: str, data: bytes, *, media_type: str | None = None) -> None:
        if self.failing:
            raise StorageError
        super().put(key, data, media_type=media_type)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'facecraft.db'}", migrate=True) as opened:
        yield opened


@pytest.fixture
def store() -> FlakyStore:
    memory = ObjectBlobStore.memory()
    return FlakyStore(memory._store)


@pytest.fixture
def jobs(database: Database, store: FlakyStore) -> Jobs:
    return open_jobs(database, store, JobConfig(job_lease_seconds=2, job_max_attempts=2), retention=None)


@pytest.fixture
def pulse(jobs: Jobs) -> Iterator[Pulse]:
    opened = Pulse(jobs.leases, jobs.workers, Worker.here("embedded", [GPU], "cpu", 1))
    opened.start()
    yield opened
    opened.close()


@pytest.fixture
def run(jobs: Jobs, pulse: Pulse) -> Callable[[Performer], Job]:
    """Take the next job and run it; return what became of it."""

    def run(performer: Performer) -> Job:
        lease = taken(jobs, pulse)
        JobRunner(jobs.leases, jobs.blobs, performer, pulse, timeout_seconds=30).run(lease)
        return jobs.repository.get(None, lease.job.id)

    return run


def taken(jobs: Jobs, pulse: Pulse) -> Lease:
    lease = jobs.leases.claim([GPU], pulse.worker_id)
    assert lease is not None
    return lease


def submit(jobs: Jobs, pictures: int = 1) -> Job:
    blobs = [
        jobs.blobs.receive(None, b"picture", name="p", media_type="image/png", expires_at=None) for _ in range(pictures)
    ]
    items = tuple(Item(i, f"{i}", {PICTURE: Input(blob.id, temporary=True)}) for i, blob in enumerate(blobs))
    return jobs.repository.add(NewJob(None, TASK, items))


def make_due(jobs: Jobs, job: Job) -> None:
    with jobs.database.write() as connection:
        connection.execute(JOBS.update().where(JOBS.c.id == job.id).values(due_at=jobs.repository.clock()))


def wait_seconds(jobs: Jobs, job: Job) -> float:
    due: datetime = jobs.repository.get(None, job.id).due_at
    return (due - jobs.repository.clock()) / timedelta(seconds=1)


def test_a_store_that_is_away_makes_the_job_wait_and_try_again(
    jobs: Jobs, store: FlakyStore, run: Callable[[Performer], Job]
) -> None:
    job = submit(jobs)
    store.failing = True
    waiting = run(FakePerformer())
    assert (waiting.state, waiting.attempt, waiting.failure) == (JobState.QUEUED, 0, None)
    assert waiting.delay is not None
    assert waiting.delay.why.code == "storage_error"
    assert 1 < wait_seconds(jobs, job) <= 2
    assert jobs.leases.claim([GPU], "01a1fc35-62b7-788a-bb7c-e52f40bb0f7c") is None
    store.failing = False
    time.sleep(max(0.0, wait_seconds(jobs, job)) + 0.05)
    ended = run(FakePerformer())
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1)


def test_a_store_that_is_away_for_more_attempts_than_a_job_has_fails_nothing(
    jobs: Jobs, store: FlakyStore, run: Callable[[Performer], Job]
) -> None:
    job = submit(jobs, 2)
    store.failing = True
    for _ in range(4):  # two attempts are all that it has
        waiting = run(FakePerformer())
        assert (waiting.state, waiting.failed) == (JobState.QUEUED, 0)
        make_due(jobs, job)
    store.failing = False
    ended = run(FakePerformer())
    assert (ended.state, ended.succeeded, ended.failed) == (JobState.SUCCEEDED, 2, 0)


def test_patience_has_an_end(database: Database, store: FlakyStore, pulse: Pulse) -> None:
    impatient = open_jobs(database, store, JobConfig(job_patience_seconds=0), retention=None)
    submit(impatient)
    store.failing = True
    for _ in range(2):
        lease = taken(impatient, pulse)
        JobRunner(impatient.leases, impatient.blobs, FakePerformer(), pulse, timeout_seconds=30).run(lease)
        make_due(impatient, lease.job)
    ended = impatient.repository.get(None, lease.job.id)
    assert ended.failure is not None
    assert (ended.state, ended.failure.code) == (JobState.FAILED, "storage_error")


def test_the_last_attempt_fails_with_the_reason(jobs: Jobs, run: Callable[[Performer], Job]) -> None:
    job = submit(jobs)

    def full(_: Watch) -> None:
        raise DeviceMemoryError

    assert run(Raising(full)).state is JobState.QUEUED
    time.sleep(max(0.0, wait_seconds(jobs, job)) + 0.05)
    ended = run(Raising(full))
    assert ended.failure is not None
    assert (ended.state, ended.failure.code) == (JobState.FAILED, "out_of_memory")


def test_what_no_retry_can_cure_fails_at_once(jobs: Jobs, run: Callable[[Performer], Job]) -> None:
    submit(jobs)

    def broken(_: Watch) -> None:
        raise InferenceError(detail="secret of the server")

    ended = run(Raising(broken))
    assert ended.failure is not None
    assert (ended.state, ended.attempt, ended.failure.code) == (JobState.FAILED, 1, "inference_failed")
    assert "secret" not in repr(ended.failure)


def test_a_mistake_of_ours_fails_the_item_and_says_nothing_of_the_server(
    jobs: Jobs, run: Callable[[Performer], Job], caplog: pytest.LogCaptureFixture
) -> None:
    submit(jobs, 2)
    calls = 0

    def buggy(_: Watch) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError("/home/secret")

    ended = run(Raising(buggy))
    assert (ended.state, ended.succeeded, ended.failed) == (JobState.SUCCEEDED, 1, 1)
    failure = jobs.repository.items(None, ended.id)[0].failure
    assert failure is not None
    assert failure.code == "facecraft_error"
    assert "secret" not in repr(failure)
    assert "ZeroDivisionError" in caplog.text


def test_a_worker_that_lost_its_lease_writes_nothing_more(
    jobs: Jobs, store: FlakyStore, run: Callable[[Performer], Job]
) -> None:
    job = submit(jobs)

    def robbed(watch: Watch) -> None:
        # As if this process had slept: another one takes the job over.
        jobs.leases.abandon([str(holder)])
        assert jobs.leases.reclaim() == 1
        other = jobs.leases.claim([GPU], "01a1fc35-62b7-788a-bb7c-e52f40bb0f7c")
        assert other is not None
        others.append(other)

    others: list[Lease] = []
    holder = worker_id(jobs)
    found = run(Raising(robbed))
    assert (found.state, found.attempt, found.succeeded) == (JobState.RUNNING, 2, 0)
    assert jobs.blobs.artifacts(job.id) == ()
    keys = {info.key for info in store.find("")}
    assert len(keys) == 1  # the upload: what the first worker had made is gone
    jobs.leases.finish(others[0], JobState.SUCCEEDED)


def worker_id(jobs: Jobs) -> str:
    (worker,) = jobs.workers.alive()
    return worker.id


def test_work_ends_before_its_lease_when_the_database_is_away(
    jobs: Jobs, database: Database, run: Callable[[Performer], Job]
) -> None:
    submit(jobs)
    start = time.monotonic()
    noticed: list[float] = []

    def endless(watch: Watch) -> None:
        with away(database):
            while not watch.cancel.cancelled and time.monotonic() - start < 20:
                time.sleep(0.01)
            noticed.append(time.monotonic() - start)
        watch.cancel.check()

    assert run(Raising(endless)).state is JobState.RUNNING
    assert noticed[0] < 2.0  # the lease: from then on another worker may have the job


@contextmanager
def away(database: Database) -> Iterator[None]:
    """Take the write lock of an SQLite database, so that nobody gets any further."""
    with database.write():
        yield


class CutOff(Leases):
    """Leases over a connection that breaks once after a commit, before the answer arrives."""

    calls = 0

    def finish_item(
        self,
        lease: Lease,
        item: Item,
        failure: Failure | None,
        *,
        fraction: float,
        also: Also = nothing,
        end: End | None = None,
    ) -> None:
        self.calls += 1
        super().finish_item(lease, item, failure, fraction=fraction, also=also, end=end)
        if self.calls == 1:
            raise StorageError("The connection broke after the commit.")


def test_an_answer_that_got_lost_does_not_finish_an_item_twice(jobs: Jobs, pulse: Pulse) -> None:
    job = submit(jobs)
    leases = CutOff(jobs.repository, seconds=2)
    JobRunner(leases, jobs.blobs, FakePerformer(), pulse, timeout_seconds=30).run(taken(jobs, pulse))
    ended = jobs.repository.get(None, job.id)
    assert (ended.state, ended.succeeded, leases.calls) == (JobState.SUCCEEDED, 1, 1)
    assert len(jobs.blobs.artifacts(job.id)) == 2


def test_a_job_whose_items_are_all_done_is_ended(run: Callable[[Performer], Job], jobs: Jobs, pulse: Pulse) -> None:
    """The last item and the end are written together now; a version that died between the two left this behind."""
    submit(jobs)
    lease = taken(jobs, pulse)
    (item,) = jobs.leases.items(lease)
    jobs.leases.finish_item(lease, item, None, fraction=1.0)
    jobs.leases.give_back(lease)
    ended = run(FakePerformer())
    assert (ended.state, ended.succeeded) == (JobState.SUCCEEDED, 1)


def test_the_last_item_and_the_end_are_written_together(jobs: Jobs, run: Callable[[Performer], Job]) -> None:
    job = submit(jobs, 2)
    run(FakePerformer())
    story = jobs.repository.events(job.id)
    assert [event.type for event in story if event.type != "progress"] == [
        "queued", "running", "item", "item", "succeeded",
    ]  # fmt: skip
    assert story[-2].created_at == story[-1].created_at
    assert [event.number for event in story] == list(range(1, len(story) + 1))


def test_results_count_for_the_quota(
    database: Database, store: FlakyStore, run: Callable[[Performer], Job], jobs: Jobs
) -> None:
    """Two pictures that the owner uploaded once: what the first makes fits, what the second makes does not."""
    sent = jobs.blobs.receive(None, b"picture", name="p", media_type="image/png", expires_at=None)
    items = tuple(Item(i, None, {PICTURE: Input(sent.id, temporary=False)}) for i in range(2))
    job = jobs.repository.add(NewJob(None, TASK, items))
    jobs.blobs.quota_bytes = jobs.blobs.used_bytes(None) + 3
    ended = run(Raising(lambda _: None))
    assert (ended.state, ended.succeeded, ended.failed) == (JobState.SUCCEEDED, 1, 1)
    failed = jobs.repository.items(None, job.id)[1]
    assert failed.failure is not None
    assert failed.failure.code == "quota_exceeded"
    assert len(jobs.blobs.artifacts(job.id)) == 1
    assert len(list(store.find("blobs"))) == 2, "bytes that nobody knows of were left behind"


def test_a_job_of_another_version_fails_and_hides_no_other(
    jobs: Jobs, database: Database, run: Callable[[Performer], Job]
) -> None:
    strange, other = submit(jobs), submit(jobs)
    with database.write() as connection:
        mine = JOBS.c.id == strange.id
        request = connection.execute(sa.select(JOBS.c.request).where(mine)).scalar_one()
        request["task"]["kind"] = "hologram"
        connection.execute(JOBS.update().where(mine).values(request=request))
    assert {job.id for job in jobs.repository.list(None).items} == {strange.id, other.id}
    failed = run(FakePerformer())
    assert (failed.id, failed.name, failed.state) == (strange.id, "cutout", JobState.FAILED)
    assert failed.failure is not None
    assert failed.failure.code == "task_unknown"
    assert run(FakePerformer()).state is JobState.SUCCEEDED


class Refusing(Leases):
    """Leases over a database that never takes the end of an item, and everything else."""

    def finish_item(
        self,
        lease: Lease,  # noqa: ARG002 - the signature of the method
        item: Item,  # noqa: ARG002
        failure: Failure | None,  # noqa: ARG002
        *,
        fraction: float,  # noqa: ARG002
        also: Also = nothing,  # noqa: ARG002
        end: End | None = None,  # noqa: ARG002
    ) -> None:
        raise StorageError("This cannot be written.")


def test_what_can_never_be_written_does_not_keep_a_worker_for_ever(jobs: Jobs, pulse: Pulse) -> None:
    submit(jobs)
    leases = Refusing(jobs.repository, seconds=1, max_attempts=1)
    lease = taken(jobs, pulse)
    runner = JobRunner(leases, jobs.blobs, FakePerformer(), pulse, timeout_seconds=30)
    thread = threading.Thread(target=runner.run, args=(lease,), daemon=True)
    thread.start()
    thread.join(15)
    assert not thread.is_alive()
    found = jobs.repository.get(None, lease.job.id)
    assert (found.state, found.delay and found.delay.why.message) == (JobState.QUEUED, "This cannot be written.")


def test_a_stopping_process_gives_its_job_back_uncounted(jobs: Jobs, pulse: Pulse) -> None:
    job = submit(jobs)
    runner = JobRunner(jobs.leases, jobs.blobs, FakePerformer(seconds=20), pulse, timeout_seconds=30)
    thread = threading.Thread(target=runner.run, args=(taken(jobs, pulse),))
    thread.start()
    while not pulse.busy:
        time.sleep(0.01)
    pulse.leave()
    thread.join(10)
    found = jobs.repository.get(None, job.id)
    assert (found.state, found.attempt) == (JobState.QUEUED, 0)


def test_the_first_reason_to_stop_counts(jobs: Jobs, pulse: Pulse) -> None:
    submit(jobs)
    lease = taken(jobs, pulse)
    with pulse.hold(lease, Tracker(TASK, 1, Pace()), seconds=30) as hold:
        hold.stop(Stop.UNWANTED)
        hold.stop(Stop.LEAVING)
        assert (hold.why, hold.cancelled) == (Stop.UNWANTED, True)
    with pytest.raises(LeaseLostError):
        jobs.leases.tell(Lease(lease.job, "01a1fc35-62b7-788a-bb7c-e52f40bb0f7c", lease.until), 0.5, None)


def test_an_end_that_was_undone_is_counted_once_it_is_written(database: Database, store: FlakyStore) -> None:
    heard: list[Job] = []
    jobs = open_jobs(database, store, JobConfig(), retention=None, ended=heard.append)
    job = jobs.repository.add(NewJob(None, TASK, (Item(0, None, {}),)))

    def breaks() -> None:
        with database.write() as connection:
            jobs.repository.ending(connection, job.id, JobState.CANCELLED, None, jobs.repository.clock())
            raise StorageError

    with pytest.raises(StorageError):
        breaks()
    assert heard == []
    jobs.repository.cancel(None, job.id)
    assert [(each.id, each.state) for each in heard] == [(job.id, JobState.CANCELLED)]
