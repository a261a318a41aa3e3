"""Which workers there are, and which are known to be gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facecraft.db.database import Database
from facecraft.db.opening import open_database
from facecraft.jobs.workers import FORGOTTEN_AFTER, SILENT_AFTER, Worker, Workers


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'facecraft.db'}", migrate=True) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workers(database: Database, clock: Clock) -> Workers:
    return Workers(database, clock=clock)


def here() -> Worker:
    return Worker.here("embedded", ("gpu", "celery"), "cpu", 2)


def test_a_worker_comes_back_as_it_was_told(workers: Workers, clock: Clock) -> None:
    seen = workers.seen(replace(here(), busy=1))
    assert workers.alive() == (seen,)
    assert (seen.queues, seen.process, seen.places, seen.seen_at) == (("gpu", "celery"), os.getpid(), 2, clock.now)


def test_a_silent_worker_is_not_counted_and_forgotten_later(workers: Workers, clock: Clock) -> None:
    workers.seen(here())
    clock.now += SILENT_AFTER + timedelta(seconds=1)
    assert workers.alive() == ()
    assert workers.sweep() == 0
    clock.now += FORGOTTEN_AFTER
    assert workers.sweep() == 1


def test_a_worker_whose_row_was_swept_comes_back(workers: Workers) -> None:
    worker = workers.seen(here())
    workers.forget(worker.id)
    workers.seen(worker)
    assert [each.id for each in workers.alive()] == [worker.id]


def test_a_process_that_ended_is_known_to_be_gone_at_once(workers: Workers) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(30)
    mine = workers.seen(here())
    gone = workers.seen(replace(here(), process=ended.pid))
    workers.seen(replace(here(), process=ended.pid, host="elsewhere"))
    assert [each.id for each in workers.gone()] == [gone.id]
    assert not mine.gone


def test_a_process_that_ended_and_was_not_collected_is_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert replace(here(), process=ended.pid).gone
    ended.wait(30)


def test_a_number_that_is_used_again_is_not_taken_for_the_old_process() -> None:
    # This process stands for the new owner of the number: it began long after the row was written.
    assert replace(here(), started_at=datetime.now(UTC) - timedelta(days=400)).gone


def test_a_deaf_worker_is_told_of_until_it_hears_again(workers: Workers, clock: Clock) -> None:
    seen = workers.seen(here())
    since = clock.now
    workers.say(seen.id, deaf=True)
    clock.now += timedelta(seconds=5)
    workers.say(seen.id, deaf=True)
    workers.seen(seen)  # it lives, which says nothing of what it hears
    assert [each.deaf_since for each in workers.alive()] == [since]
    workers.say(seen.id, deaf=False)
    assert [each.deaf_since for each in workers.alive()] == [None]
