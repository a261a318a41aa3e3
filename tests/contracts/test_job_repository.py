"""What the rows of jobs promise to callers and to workers, shown on SQLite and on a real Postgres."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from facecraft.db.database import Database
from facecraft.db.tables import BLOBS, JOBS
from facecraft.errors import (
    BusyError,
    InvalidOptionError,
    JobNotFoundError,
    JobStateError,
    LeaseLostError,
    NoFaceFoundError,
)
from facecraft.jobs import blob_rows
from facecraft.jobs.blobs import Blobs
from facecraft.jobs.hints import Hints
from facecraft.jobs.job import ENDED, TRANSITIONS, Delay, Failure, Input, Item, Job, JobState, NewJob
from facecraft.jobs.leases import Leases
from facecraft.jobs.repository import JobRepository
from facecraft.jobs.tasks import GPU, FacesTask, PipelineTask
from facecraft.pipelines.presets import CutoutPresetOptions
from facecraft.pipelines.recognition import EmbedOptions
from facecraft.storage import ObjectBlobStore

WORKER = str(uuid.uuid4())
AWAY = Failure("storage_error", "away")
MEMORY = Failure("out_of_memory", "no memory is left")
HOUR = timedelta(hours=1)
NEVER_MADE = "3f0c9a52-7f4e-4d0b-9c39-5f3f4be0a6d1"


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database.open(database_url) as opened:
        opened.migrate()
        yield opened


@pytest.fixture
def ended() -> list[tuple[str, JobState]]:
    return []


@pytest.fixture
def jobs(database: Database, clock: Clock, ended: list[tuple[str, JobState]]) -> JobRepository:
    def told(_: Connection, job: Job) -> None:
        ended.append((job.id, job.state))

    return JobRepository(database, queue_limit=100, retention=HOUR, told=told, clock=clock)


@pytest.fixture
def leases(jobs: JobRepository) -> Leases:
    return Leases(jobs, seconds=30, max_attempts=2)


def blob(database: Database, clock: Clock) -> str:
    identity = str(uuid.uuid4())
    with database.write() as connection:
        connection.execute(
            BLOBS.insert().values(
                id=identity, key=f"blobs/{identity}", media_type="image/jpeg", bytes=3, created_at=clock()
            )
        )
    return identity


def new(database: Database, clock: Clock, items: int = 1, owner: str | None = None) -> NewJob:
    return NewJob(
        owner,
        PipelineTask(name="cutout", pipeline=CutoutPresetOptions(fill="red").pipeline()),
        tuple(
            Item(position, f"{position}.jpg", {"picture": Input(blob(database, clock), temporary=True)})
            for position in range(items)
        ),
    )


def expiry_of(database: Database, item: Item) -> datetime | None:
    with database.read() as connection:
        query = sa.select(BLOBS.c.expires_at).where(BLOBS.c.id == item.inputs["picture"].blob_id)
        moment: datetime | None = connection.execute(query).scalar_one()
        return moment


def types(jobs: JobRepository, job: Job) -> list[str]:
    return [event.type for event in jobs.events(job.id)]


def test_a_job_comes_back_as_it_was_sent(database: Database, jobs: JobRepository, clock: Clock) -> None:
    wanted = new(database, clock, 2, "ada")
    job = jobs.add(wanted)
    assert jobs.get("ada", job.id) == job
    assert (job.state, job.fraction, job.attempt, job.total, job.queue) == (JobState.QUEUED, 0.0, 0, 2, GPU)
    assert job.task == wanted.task
    assert jobs.items("ada", job.id) == wanted.items
    assert job.created_at == clock()


def test_another_kind_of_task_keeps_its_options(database: Database, jobs: JobRepository, clock: Clock) -> None:
    task = FacesTask(name="embeddings", options=EmbedOptions(embedder="sface"))
    job = jobs.add(NewJob(None, task, new(database, clock).items))
    assert jobs.get(None, job.id).task == task
    assert job.name == "faces-embeddings"  # the word that it was sent with
    assert [each.id for each in jobs.list(None, name="faces-embeddings").items] == [job.id]


@pytest.mark.parametrize("stranger", [None, "eve"])
def test_a_stranger_finds_nothing(database: Database, jobs: JobRepository, clock: Clock, stranger: str | None) -> None:
    job = jobs.add(new(database, clock, owner="ada"))
    for call in (jobs.get, jobs.items, jobs.cancel, jobs.retry, jobs.delete):
        with pytest.raises(JobNotFoundError):
            call(stranger, job.id)
    assert jobs.list(stranger).items == ()
    assert jobs.get("ada", job.id) == job


@pytest.mark.parametrize("identity", ["", "x", "../etc", "0" * 400, NEVER_MADE, NEVER_MADE.upper()])
def test_what_is_no_job_is_not_found(jobs: JobRepository, identity: str) -> None:
    with pytest.raises(JobNotFoundError):
        jobs.get(None, identity)


def test_jobs_are_taken_in_the_order_in_which_they_came(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock
) -> None:
    sent = [jobs.add(new(database, clock)) for _ in range(3)]
    assert [jobs.position(job) for job in sent] == [1, 2, 3]
    first = leases.claim([GPU], WORKER)
    assert first is not None
    assert first.job.id == sent[0].id
    assert (first.job.state, first.job.attempt, first.job.started_at) == (JobState.RUNNING, 1, clock())
    assert [jobs.position(jobs.get(None, job.id)) for job in sent] == [None, 1, 2]
    assert leases.claim(["render"], WORKER) is None


def test_workers_that_ask_at_once_never_get_the_same_job(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock
) -> None:
    sent = {jobs.add(new(database, clock)).id for _ in range(40)}

    def work(_: int) -> list[str]:
        mine = []
        for _ in range(41):
            lease = leases.claim([GPU], WORKER)
            if lease is None and not jobs.depths():
                break
            if lease is not None:
                leases.finish(lease, JobState.SUCCEEDED)
                mine.append(lease.job.id)
        return mine

    with ThreadPoolExecutor(6) as threads:
        done = [job for mine in threads.map(work, range(6)) for job in mine]
    assert sorted(done) == sorted(sent)
    assert jobs.counts()[JobState.SUCCEEDED] == 40


def test_a_run_from_start_to_end(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock, ended: list[tuple[str, JobState]]
) -> None:
    job = jobs.add(new(database, clock, 2))
    items = jobs.items(None, job.id)
    lease = leases.claim([GPU], WORKER)
    assert lease is not None
    leases.tell(lease, 0.25, "cutout")
    assert jobs.get(None, job.id).stage == "cutout"
    leases.finish_item(lease, items[0], None, fraction=0.5)
    assert expiry_of(database, items[0]) == clock()
    assert expiry_of(database, items[1]) is None
    leases.finish_item(lease, items[1], Failure.of(NoFaceFoundError()), fraction=1.0)
    leases.finish(lease, JobState.SUCCEEDED)
    done = jobs.get(None, job.id)
    assert (done.state, done.succeeded, done.failed, done.fraction) == (JobState.SUCCEEDED, 1, 1, 1.0)
    assert done.expires_at == clock() + HOUR
    assert [item.state for item in jobs.items(None, job.id)] == [JobState.SUCCEEDED, JobState.FAILED]
    failure = jobs.items(None, job.id)[1].failure
    assert failure is not None
    assert failure.code == "no_face_detected"
    assert types(jobs, job) == ["queued", "running", "progress", "item", "item", "succeeded"]
    assert [event.number for event in jobs.events(job.id)] == [1, 2, 3, 4, 5, 6]
    assert [event.number for event in jobs.events(job.id, after=4)] == [5, 6]
    assert jobs.event_counts([job.id, str(uuid.uuid4())]) == {job.id: 6}
    assert ended == [(job.id, JobState.SUCCEEDED)]


def test_artifacts_are_written_with_their_item_or_not_at_all(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock
) -> None:
    job = jobs.add(new(database, clock))
    (item,) = jobs.items(None, job.id)
    lease = leases.claim([GPU], WORKER)
    assert lease is not None

    def broken(connection: Connection) -> None:
        connection.execute(JOBS.update().values(stage="never seen"))
        raise NoFaceFoundError

    with pytest.raises(NoFaceFoundError):
        leases.finish_item(lease, item, None, fraction=1.0, also=broken)
    seen = jobs.get(None, job.id)
    assert (seen.stage, seen.succeeded) == (None, 0)
    assert types(jobs, job) == ["queued", "running"]


def test_a_dead_worker_loses_its_job_and_the_last_attempt_fails(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock, ended: list[tuple[str, JobState]]
) -> None:
    job = jobs.add(new(database, clock))
    first = leases.claim([GPU], WORKER)
    assert first is not None
    clock.turn(29)
    assert leases.reclaim() == 0
    assert leases.renew([first]).lost == frozenset()
    clock.turn(29)
    assert leases.reclaim() == 0
    clock.turn(2)
    assert leases.reclaim() == 1
    second = leases.claim([GPU], WORKER)
    assert second is not None
    assert second.job.attempt == 2
    (item,) = jobs.items(None, job.id)
    for write in (
        lambda: leases.tell(first, 0.5, "x"),
        lambda: leases.finish_item(first, item, None, fraction=1.0),
        lambda: leases.finish(first, JobState.SUCCEEDED),
        lambda: leases.give_back(first),
    ):
        with pytest.raises(LeaseLostError):
            write()
    assert leases.renew([first, second]).lost == {first.token}
    clock.turn(31)
    assert leases.reclaim() == 1
    gone = jobs.get(None, job.id)
    assert gone.state is JobState.FAILED
    assert gone.failure is not None
    assert gone.failure.code == "worker_lost"
    assert ended == [(job.id, JobState.FAILED)]
    assert leases.reclaim() == 0


def test_what_is_given_back_waits_and_keeps_its_attempts(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock
) -> None:
    jobs.add(new(database, clock))
    lease = leases.claim([GPU], WORKER)
    assert lease is not None
    leases.give_back(lease)
    again = leases.claim([GPU], WORKER)
    assert again is not None
    assert again.job.attempt == 1
    assert leases.may_try_again(again)
    leases.put_off(again, MEMORY, counts=True)
    assert leases.claim([GPU], WORKER) is None
    clock.turn(3)
    last = leases.claim([GPU], WORKER)
    assert last is not None
    assert last.job.attempt == 2
    assert not leases.may_try_again(last)


def test_what_is_away_is_waited_for_longer_and_longer_and_counts_for_nothing(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock
) -> None:
    job = jobs.add(new(database, clock))
    since, delays = clock(), []
    for _ in range(12):
        lease = leases.claim([GPU], WORKER)
        assert lease is not None
        assert (lease.job.attempt, leases.may_wait(lease)) == (1, True)
        delays.append(leases.put_off(lease, AWAY, counts=False))
        waiting = jobs.get(None, job.id)
        assert (waiting.state, waiting.attempt, waiting.delay) == (JobState.QUEUED, 0, Delay(AWAY, since))
        assert jobs.events(job.id)[-1].data["delay"] == {"code": "storage_error", "message": "away", "hint": None}
        clock.turn(delays[-1])
    assert delays == [2, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    clock.turn(21_600)
    lease = leases.claim([GPU], WORKER)
    assert lease is not None
    assert not leases.may_wait(lease)


def test_an_item_that_is_done_ends_the_wait_of_its_job(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock
) -> None:
    job = jobs.add(new(database, clock, items=2))
    first = leases.claim([GPU], WORKER)
    assert first is not None
    leases.put_off(first, AWAY, counts=False)
    clock.turn(20_000)
    again = leases.claim([GPU], WORKER)
    assert again is not None
    leases.finish_item(again, leases.items(again)[0], None, fraction=0.5)
    clock.turn(5_000)
    assert leases.may_wait(again)
    assert leases.put_off(again, AWAY, counts=False) == 2
    assert jobs.get(None, job.id).delay == Delay(AWAY, clock())


def test_cancelling(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock, ended: list[tuple[str, JobState]]
) -> None:
    waits, runs = jobs.add(new(database, clock)), jobs.add(new(database, clock))
    assert jobs.cancel(None, waits.id).state is JobState.CANCELLED
    lease = leases.claim([GPU], WORKER)
    assert lease is not None
    assert lease.job.id == runs.id
    assert leases.unwanted([lease]) == frozenset()
    assert jobs.cancel(None, runs.id).state is JobState.RUNNING
    assert jobs.cancel(None, runs.id).cancel_at == clock()  # a second wish changes nothing
    assert leases.unwanted([lease]) == leases.renew([lease]).unwanted == {lease.token}
    clock.turn(100)
    assert leases.reclaim() == 1  # its worker died before it stopped
    assert jobs.get(None, runs.id).state is JobState.CANCELLED
    with pytest.raises(JobStateError):
        jobs.cancel(None, runs.id)
    assert ended == [(waits.id, JobState.CANCELLED), (runs.id, JobState.CANCELLED)]


def test_what_somebody_wants_to_stop_is_not_given_back(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock, ended: list[tuple[str, JobState]]
) -> None:
    job = jobs.add(new(database, clock))
    lease = leases.claim([GPU], WORKER)
    assert lease is not None
    jobs.cancel(None, job.id)
    assert leases.put_off(lease, AWAY, counts=False) == 0
    assert jobs.get(None, job.id).state is JobState.CANCELLED
    assert ended == [(job.id, JobState.CANCELLED)]
    with pytest.raises(LeaseLostError):
        leases.give_back(lease)


def test_trying_again_does_only_what_is_left(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock
) -> None:
    job = jobs.add(new(database, clock, 2))
    items = jobs.items(None, job.id)
    with pytest.raises(JobStateError):
        jobs.retry(None, job.id)
    lease = leases.claim([GPU], WORKER)
    assert lease is not None
    leases.finish_item(lease, items[0], None, fraction=0.5)
    leases.finish_item(lease, items[1], Failure("x", "y"), fraction=1.0)
    leases.finish(lease, JobState.FAILED, Failure("x", "y"))
    assert expiry_of(database, items[1]) == clock() + HOUR
    again = jobs.retry(None, job.id)
    assert (again.state, again.attempt, again.failure, again.failed, again.succeeded) == (
        JobState.QUEUED, 0, None, 0, 1,
    )  # fmt: skip
    assert again.expires_at is None
    assert expiry_of(database, items[1]) is None
    assert [item.state for item in jobs.items(None, job.id)] == [JobState.SUCCEEDED, JobState.QUEUED]
    assert leases.claim([GPU], WORKER) is not None


def test_what_failed_of_a_batch_can_be_tried_again(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock
) -> None:
    job = jobs.add(new(database, clock, 2))
    items = jobs.items(None, job.id)
    lease = leases.claim([GPU], WORKER)
    assert lease is not None
    leases.finish_item(lease, items[0], None, fraction=0.5)
    leases.finish_item(lease, items[1], Failure("x", "y"), fraction=1.0)
    leases.finish(lease, JobState.SUCCEEDED)
    assert expiry_of(database, items[0]) == clock()
    assert expiry_of(database, items[1]) == clock() + HOUR
    again = jobs.retry(None, job.id)
    assert (again.state, again.fraction, again.succeeded, again.failed) == (JobState.QUEUED, 0.5, 1, 0)
    assert [item.state for item in jobs.items(None, job.id)] == [JobState.SUCCEEDED, JobState.QUEUED]
    second = leases.claim([GPU], WORKER)
    assert second is not None
    leases.finish_item(second, jobs.items(None, job.id)[1], None, fraction=1.0)
    leases.finish(second, JobState.SUCCEEDED)
    with pytest.raises(JobStateError):
        jobs.retry(None, job.id)


def test_items_end_with_their_job(database: Database, jobs: JobRepository, leases: Leases, clock: Clock) -> None:
    waits, late = jobs.add(new(database, clock, 2)), jobs.add(new(database, clock, 2))
    jobs.cancel(None, waits.id)
    assert [item.state for item in jobs.items(None, waits.id)] == [JobState.CANCELLED] * 2
    lease = leases.claim([GPU], WORKER)
    assert lease is not None
    leases.finish_item(lease, jobs.items(None, late.id)[0], None, fraction=0.5)
    leases.finish(lease, JobState.FAILED, Failure("deadline_exceeded", "too long"))
    assert [item.state for item in jobs.items(None, late.id)] == [JobState.SUCCEEDED, JobState.FAILED]
    assert (jobs.get(None, late.id).succeeded, jobs.get(None, late.id).failed) == (1, 1)


def test_deleting_and_forgetting(database: Database, jobs: JobRepository, leases: Leases, clock: Clock) -> None:
    waits = jobs.add(new(database, clock))
    (item,) = jobs.items(None, waits.id)
    assert jobs.delete(None, waits.id) == (item.inputs["picture"].blob_id,)
    assert expiry_of(database, item) == clock()
    with pytest.raises(JobNotFoundError):
        jobs.get(None, waits.id)
    assert jobs.events(waits.id) == ()
    done = jobs.add(new(database, clock))
    lease = leases.claim([GPU], WORKER)
    assert lease is not None
    with pytest.raises(JobStateError):
        jobs.delete(None, done.id)
    made = blob(database, clock)

    def keep(connection: Connection) -> None:
        connection.execute(BLOBS.update().where(BLOBS.c.id == made).values(job_id=done.id, position=0))

    leases.finish_item(lease, jobs.items(None, done.id)[0], None, fraction=1.0, also=keep)
    leases.finish(lease, JobState.SUCCEEDED)
    assert jobs.sweep() == 0
    clock.turn(3601)
    assert jobs.sweep() == 1
    with pytest.raises(JobNotFoundError):
        jobs.get(None, done.id)
    Blobs(database, ObjectBlobStore.memory()).sweep(clock())
    with database.read() as connection:
        assert connection.execute(sa.select(BLOBS.c.id).where(BLOBS.c.id == made)).first() is None


def test_every_job_whose_time_is_over_is_forgotten_and_counted(
    database: Database, jobs: JobRepository, clock: Clock
) -> None:
    """What they shared with a job that waits stays, and so does what is not over yet."""
    shared = blob(database, clock)
    waits = job_with(database, jobs, clock, shared)
    old = [jobs.add(new(database, clock, items=30)) for _ in range(5)]
    old += [job_with(database, jobs, clock, shared) for _ in range(2)]
    for job in old:
        jobs.cancel(None, job.id)
    clock.turn(1800)
    young = jobs.add(new(database, clock))
    jobs.cancel(None, young.id)
    clock.turn(1801)
    assert jobs.sweep(limit=4) == 4
    assert jobs.sweep(limit=4) == 3
    assert jobs.sweep(limit=4) == 0
    assert {job.id for job in jobs.list(None).items} == {waits.id, young.id}
    assert kept_until(database, shared) is None


def test_a_job_that_is_deleted_before_it_ran_lets_go_what_it_shared(
    database: Database, jobs: JobRepository, clock: Clock
) -> None:
    shared = blob(database, clock)
    item = Item(0, "0.jpg", {"picture": Input(shared, temporary=False)})
    job = jobs.add(NewJob(None, new(database, clock).task, (item,)))
    assert expiry_of(database, item) is None
    assert jobs.delete(None, job.id) == ()
    assert expiry_of(database, item) == clock() + HOUR


class Interrupted(Database):
    """A database in which something else happens just before the next transaction that writes."""

    first: Callable[[], object] | None = None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        first, self.first = self.first, None
        if first is not None:
            first()
        with super().write() as connection:
            yield connection


def test_what_is_tried_again_while_it_is_forgotten_stays(database: Database, jobs: JobRepository, clock: Clock) -> None:
    job = jobs.add(new(database, clock))
    jobs.cancel(None, job.id)
    clock.turn(3601)
    interrupted = Interrupted(database.engine)
    interrupted.first = lambda: jobs.retry(None, job.id)
    assert JobRepository(interrupted, retention=HOUR, clock=clock).sweep() == 0
    assert jobs.get(None, job.id).state is JobState.QUEUED


def test_lists_go_from_new_to_old_and_can_be_filtered(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock
) -> None:
    sent = [jobs.add(new(database, clock)) for _ in range(5)]
    leases.claim([GPU], WORKER)
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = jobs.list(None, cursor=cursor, limit=2)
        seen += [job.id for job in page.items]
        cursor = page.cursor
    assert seen == [job.id for job in reversed(sent)]
    assert cursor is None
    assert [job.id for job in jobs.list(None, states=[JobState.RUNNING]).items] == [sent[0].id]
    assert len(jobs.list(None, name="cutout").items) == 5
    assert jobs.list(None, name="portrait").items == ()


def test_text_that_cannot_be_stored_is_the_fault_of_who_sent_it(
    database: Database, jobs: JobRepository, clock: Clock
) -> None:
    wanted = new(database, clock)
    task = PipelineTask(pipeline=CutoutPresetOptions(segmenter="no\0model").pipeline())
    if database.is_sqlite:  # which keeps any text
        assert jobs.add(NewJob(None, task, wanted.items)).task == task
        assert jobs.list(None, name="no\0name").items == ()
        return
    with pytest.raises(InvalidOptionError):
        jobs.add(NewJob(None, task, wanted.items))
    with pytest.raises(InvalidOptionError):
        jobs.list(None, name="no\0name")


def test_a_full_queue_says_so(database: Database, clock: Clock) -> None:
    jobs = JobRepository(database, queue_limit=2, clock=clock)
    for _ in range(2):
        jobs.add(new(database, clock))
    with pytest.raises(BusyError):
        jobs.add(new(database, clock))
    (depth,) = jobs.depths()
    assert (depth.queue, depth.waiting, depth.oldest) == (GPU, 2, clock())


def test_one_user_cannot_fill_the_queue(database: Database, clock: Clock) -> None:
    jobs = JobRepository(database, queue_limit=5, queue_limit_per_owner=2, clock=clock)
    mine = [jobs.add(new(database, clock, owner="ann")) for _ in range(2)]
    with pytest.raises(BusyError, match="your jobs"):
        jobs.add(new(database, clock, owner="ann"))
    jobs.add(new(database, clock, owner="bob"))
    jobs.cancel("ann", mine[0].id)
    jobs.add(new(database, clock, owner="ann"))
    with pytest.raises(BusyError, match="your jobs"):
        jobs.retry("ann", mine[0].id)
    jobs.cancel("ann", mine[1].id)
    assert jobs.retry("ann", mine[0].id).state is JobState.QUEUED
    for _ in range(2):
        jobs.add(new(database, clock))  # anonymous callers may have the rest
    with pytest.raises(BusyError, match="full"):
        jobs.retry("ann", mine[1].id)
    assert jobs.get("ann", mine[1].id).state is JobState.CANCELLED


def test_a_finished_job_is_recorded_at_once(database: Database, jobs: JobRepository, clock: Clock) -> None:
    identity = str(uuid.uuid4())
    job = jobs.record(new(database, clock), job_id=identity)
    assert (job.id, job.state, job.fraction, job.succeeded) == (identity, JobState.SUCCEEDED, 1.0, 1)
    assert job.expires_at == clock() + HOUR
    assert [item.state for item in jobs.items(None, identity)] == [JobState.SUCCEEDED]


def test_what_a_broker_was_not_told_is_told_once(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock
) -> None:
    job = jobs.add(new(database, clock))
    minute = timedelta(minutes=1)
    assert Hints(jobs).unsent(minute) == ((job.id, GPU),)
    assert Hints(jobs).unsent(minute) == ()
    clock.turn(61)
    assert Hints(jobs).unsent(minute) == ((job.id, GPU),)
    lease = leases.claim([GPU], WORKER)
    assert lease is not None
    assert leases.claim([GPU], WORKER) is None
    clock.turn(61)
    assert Hints(jobs).unsent(minute) == ()
    leases.give_back(lease)
    assert Hints(jobs).unsent(minute) == ((job.id, GPU),)


def test_the_table_of_transitions_is_what_the_rows_do() -> None:
    assert set(TRANSITIONS) == set(JobState)
    assert all(TRANSITIONS[state] <= {JobState.QUEUED} for state in ENDED)


def job_with(database: Database, jobs: JobRepository, clock: Clock, shared: str) -> Job:
    item = Item(0, "0.jpg", {"picture": Input(shared, temporary=False)})
    return jobs.add(NewJob(None, new(database, clock).task, (item,)))


def kept_until(database: Database, shared: str) -> datetime | None:
    return expiry_of(database, Item(0, None, {"picture": Input(shared, temporary=False)}))


@pytest.mark.parametrize("end", ["cancel", "delete", "succeed"])
def test_a_shared_upload_stays_until_the_last_job_that_needs_it_has_ended(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock, end: str
) -> None:
    shared = blob(database, clock)
    first, second = (job_with(database, jobs, clock, shared) for _ in range(2))
    if end == "succeed":
        lease = leases.claim([GPU], WORKER)
        assert lease is not None
        assert lease.job.id == first.id
        leases.finish(lease, JobState.SUCCEEDED)
    else:
        getattr(jobs, end)(None, first.id)
    assert kept_until(database, shared) is None
    clock.turn(7200)
    jobs.sweep()
    assert kept_until(database, shared) is None
    jobs.cancel(None, second.id)
    assert kept_until(database, shared) == clock() + HOUR
    jobs.retry(None, second.id)
    assert kept_until(database, shared) is None
    third = job_with(database, jobs, clock, shared)
    jobs.cancel(None, third.id)
    assert kept_until(database, shared) is None


def test_a_shared_upload_is_let_go_once_when_its_jobs_end_together(
    database: Database, jobs: JobRepository, clock: Clock
) -> None:
    for _ in range(5):
        shared = blob(database, clock)
        made = [job_with(database, jobs, clock, shared) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda job: jobs.cancel(None, job.id), made))
        assert kept_until(database, shared) == clock() + HOUR


@pytest.mark.parametrize("forgotten", ["sweep", "delete"])
def test_a_result_that_another_job_needs_outlives_the_job_that_made_it(
    database: Database, jobs: JobRepository, clock: Clock, forgotten: str
) -> None:
    maker = jobs.add(new(database, clock))
    jobs.cancel(None, maker.id)
    made = blob(database, clock)
    with database.write() as connection:
        connection.execute(BLOBS.update().where(BLOBS.c.id == made).values(job_id=maker.id, position=0))
    waits = job_with(database, jobs, clock, made)
    clock.turn(3601)
    if forgotten == "sweep":
        assert jobs.sweep() == 1
    else:
        assert made not in jobs.delete(None, maker.id)
    blobs = Blobs(database, ObjectBlobStore.memory())
    blobs.sweep(clock())
    assert kept_until(database, made) is None
    jobs.cancel(None, waits.id)
    assert blobs.sweep(clock()) == 1
    with database.read() as connection:
        assert connection.execute(sa.select(BLOBS.c.id).where(BLOBS.c.id == made)).first() is None


def test_who_takes_a_shared_upload_while_another_lets_it_go_keeps_it(database: Database, clock: Clock) -> None:
    """The second job is written down between the moment the first asks who needs the upload and its answer."""
    if database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    jobs = JobRepository(database, retention=HOUR, clock=clock)
    shared = blob(database, clock)
    first = job_with(database, jobs, clock, shared)
    item = Item(0, "0.jpg", {"picture": Input(shared, temporary=False)})
    held, ending = Event(), Event()

    def also(connection: Connection) -> None:
        blob_rows.hold(connection, None, [shared])
        held.set()
        ending.wait(10)
        time.sleep(0.3)  # the other one comes to the row that we hold

    with ThreadPoolExecutor(2) as pool:
        taken = pool.submit(jobs.add, NewJob(None, new(database, clock).task, (item,)), also=also)
        assert held.wait(10)
        ended = pool.submit(jobs.cancel, None, first.id)
        ending.set()
        taken.result()
        ended.result()
    assert kept_until(database, shared) is None


def test_running_jobs_are_counted_by_their_stage(
    database: Database, jobs: JobRepository, leases: Leases, clock: Clock
) -> None:
    for _ in range(4):
        jobs.add(new(database, clock))
    held = [leases.claim([GPU], WORKER) for _ in range(3)]
    for lease in held[:2]:
        assert lease is not None
        leases.tell(lease, 0.5, "restore")
    assert jobs.stages() == {None: 1, "restore": 2}
