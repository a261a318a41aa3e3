"""Threads that must go on do so whatever goes wrong in them, and are named when they do not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from facecraft.api.watching.parts import threads_part
from facecraft.db.ids import new_id
from facecraft.db.opening import open_database
from facecraft.errors import PartNotReadyError
from facecraft.jobs import housekeeping
from facecraft.jobs.capacity import Capacity
from facecraft.jobs.config import JobConfig
from facecraft.jobs.embedded import EmbeddedEngine
from facecraft.jobs.housekeeping import Chore, Housekeeping, chores_of
from facecraft.jobs.job import Item, JobState, Lease, NewJob
from facecraft.jobs.leases import Leases, Renewal
from facecraft.jobs.loops import Loop, dead
from facecraft.jobs.opening import open_jobs
from facecraft.jobs.performing import Product
from facecraft.jobs.tasks import PipelineTask, Task
from facecraft.jobs.webhooks.delivery import Deliverer
from facecraft.jobs.webhooks.sealing import Seal
from facecraft.pipelines.presets import CutoutPresetOptions
from facecraft.pipelines.stage import Watch
from facecraft.storage import ObjectBlobStore
from facecraft.testing import FakePerformer

TASK = PipelineTask(name="cutout", pipeline=CutoutPresetOptions(fill="red").pipeline())
SOON = 20.0


def until(met: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(int(SOON / 0.02)):
        if met():
            return
        waiting.wait(0.02)
    raise AssertionError("it never happened")


def test_a_chore_that_fails_unexpectedly_is_done_again_and_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def breaks() -> None:
        done.append("breaks")
        raise KeyError("secret")

    chores = Housekeeping([Chore("breaks", breaks, 0.01), Chore("works", lambda: done.append("works"), 0.01)])
    with caplog.at_level(logging.ERROR, "facecraft.jobs"):
        chores.start()
        until(lambda: min(done.count("breaks"), done.count("works")) >= 3)
    assert dead(chores.loops) == ()
    chores.close()
    assert [record.message for record in caplog.records] == ["something unexpected went wrong in chores, which goes on"]


def test_no_chore_holds_up_the_recovery_of_jobs() -> None:
    """As when a large bucket is listed, or twenty thousand jobs are forgotten."""
    stuck, end, taken = threading.Event(), threading.Event(), threading.Semaphore(0)

    def slow() -> None:
        stuck.set()
        end.wait(SOON)

    chores = Housekeeping([Chore("slow", slow, 60.0), Chore("take back", taken.release, 0.01, urgent=True)])
    chores.start()
    try:
        assert stuck.wait(SOON)
        for _ in range(3):
            assert taken.acquire(timeout=SOON)
        assert [loop.name for loop in chores.loops] == ["recovery", "chores"]
    finally:
        end.set()
        chores.close()


def test_forgetting_jobs_ends_its_round_although_more_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_database(f"sqlite:///{tmp_path / 'facecraft.db'}", migrate=True) as database:
        jobs = open_jobs(database, ObjectBlobStore.memory(), JobConfig(), retention=timedelta(microseconds=1))
        for _ in range(600):
            jobs.repository.record(NewJob(None, TASK, (Item(0, None, {}),)), job_id=new_id())
        chores = {chore.name: chore for chore in chores_of(jobs)}
        assert [name for name, chore in chores.items() if chore.urgent] == ["jobs of dead workers"]
        monkeypatch.setattr(housekeeping, "_ROUND_SECONDS", 0.0)
        chores["old jobs and files"].do()
        assert jobs.repository.counts()[JobState.SUCCEEDED] == 400
        monkeypatch.setattr(housekeeping, "_ROUND_SECONDS", SOON)
        chores["old jobs and files"].do()
        assert jobs.repository.counts()[JobState.SUCCEEDED] == 0


def test_processes_that_start_together_do_their_chores_apart() -> None:
    waits = {housekeeping._spread() for _ in range(20)}
    assert len(waits) > 1
    assert 0 <= min(waits) <= max(waits) <= 0.1


def test_a_thread_that_stopped_is_named_and_the_server_is_not_ready() -> None:
    stop = threading.Event()
    short, long, idle = Loop("short", lambda: None), Loop("long", lambda: stop.wait(SOON)), Loop("idle", lambda: None)
    ready = threads_part(lambda: dead((short, long, idle)))._check
    long.start()
    ready()
    short.start()
    short.join(SOON)
    assert dead((short, long, idle)) == ("short",)
    with pytest.raises(PartNotReadyError, match="short"):
        ready()
    stop.set()
    long.join(SOON)


class Breaking(Leases):
    """Leases whose calls fail, the first times, as nobody expects."""

    broken = 0

    def _break(self) -> None:
        if self.broken < 3:
            self.broken += 1
            raise ValueError("a row that cannot be read")

    def claim(self, queues: Sequence[str], worker_id: str) -> Lease | None:
        self._break()
        return super().claim(queues, worker_id)

    def renew(self, leases: Sequence[Lease]) -> Renewal:
        self._break()
        return super().renew(leases)


def test_jobs_are_taken_up_although_asking_for_them_broke(tmp_path: Path) -> None:
    with open_database(f"sqlite:///{tmp_path / 'facecraft.db'}", migrate=True) as database:
        jobs = open_jobs(database, ObjectBlobStore.memory(), JobConfig(), retention=None)
        jobs = replace(jobs, leases=Breaking(jobs.repository))
        engine = EmbeddedEngine(jobs, FakePerformer(), capacity=Capacity(1), device="cpu")
        engine.start()
        try:
            job = jobs.repository.add(NewJob(None, TASK, (Item(0, None, {}),)))
            until(lambda: jobs.repository.get(None, job.id).state in (JobState.SUCCEEDED, JobState.FAILED))
            assert engine.dead() == ()
        finally:
            engine.close()
        assert set(engine.dead()) == {"job-0", "pulse", "recovery", "chores"}


def test_a_stop_says_what_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    working, enough = threading.Event(), threading.Event()
    made = FakePerformer()

    def perform(task: Task, pictures: Mapping[str, bytes], *, name: str | None, watch: Watch) -> tuple[Product, ...]:
        working.set()
        assert enough.wait(20)
        return made(task, pictures, name=name, watch=watch)

    with open_database(f"sqlite:///{tmp_path / 'facecraft.db'}", migrate=True) as database:
        jobs = open_jobs(database, ObjectBlobStore.memory(), JobConfig(), retention=None)
        engine = EmbeddedEngine(jobs, perform, capacity=Capacity(1), device="cpu")
        engine.start()
        try:
            jobs.repository.add(NewJob(None, TASK, (Item(0, None, {}),)))
            assert working.wait(20)
            threading.Timer(0.2, enough.set).start()
            with caplog.at_level("INFO", "facecraft.jobs"):
                engine.close()
        finally:
            enough.set()
    assert "stopping: up to 20 s are left for 1 job" in caplog.text


class Misread(Deliverer):
    """A deliverer that cannot read what it finds, the first times."""

    broken = 0

    def _claim(self, free: int, busy: tuple[str, ...]) -> list:  # type: ignore[type-arg]
        self.broken += 1
        if self.broken < 3:
            raise ValueError("a row that cannot be read")
        return super()._claim(free, busy)


def test_webhooks_are_told_although_looking_for_them_broke(tmp_path: Path) -> None:
    with open_database(f"sqlite:///{tmp_path / 'facecraft.db'}", migrate=True) as database:
        deliverer = Misread(database, Seal(lambda: "5f2c8e1b9a7d4063b1e8c2f7a9d05e34"), poll_seconds=0.01)
        deliverer.start()
        until(lambda: deliverer.broken > 3)
        assert not deliverer.loop.dead
        deliverer.close()
