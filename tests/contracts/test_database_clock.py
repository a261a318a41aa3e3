"""Machines that share a database share its time, however wrong their own clocks are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from facecraft.db import clock as module
from facecraft.db.clock import DatabaseClock
from facecraft.db.database import Database
from facecraft.db.ids import new_id
from facecraft.db.tables import DELIVERIES
from facecraft.errors import IdempotencyInProgressError, StorageError
from facecraft.jobs import idempotency as idempotency_module
from facecraft.jobs.idempotency import IdempotencyKeys
from facecraft.jobs.job import Item, NewJob
from facecraft.jobs.leases import Leases
from facecraft.jobs.repository import JobRepository
from facecraft.jobs.tasks import GPU, PipelineTask
from facecraft.jobs.webhooks import delivery as delivery_module
from facecraft.jobs.webhooks import webhooks as webhooks_module
from facecraft.jobs.webhooks.delivery import Deliverer
from facecraft.jobs.webhooks.records import NewWebhook
from facecraft.jobs.webhooks.sealing import Seal
from facecraft.jobs.webhooks.webhooks import Webhooks
from facecraft.pipelines.presets import CutoutPresetOptions
from services.postgres import run_postgres
from services.receivers import run_receiver

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


def test_a_machine_that_is_ahead_sends_no_delivery_twice_and_takes_no_request_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.is_sqlite:
        pytest.skip("a file has no other machines")
    seal, asked = Seal(lambda: "5f2c8e1b9a7d4063b1e8c2f7a9d05e34"), "a" * 64
    with run_receiver() as receiver:
        webhook = Webhooks(database, seal, private=True).create(NewWebhook(url=receiver.url()), owner=None)
        with database.write() as connection:
            moment = DatabaseClock(database)()
            row = {"webhook_id": webhook.id, "type": "job.failed", "payload": "{}", "state": "pending", "attempt": 1}
            under_way = {**row, "id": new_id(), "due_at": moment, "lease_until": moment + timedelta(minutes=1)}
            later = {**row, "id": new_id(), "due_at": moment + timedelta(minutes=5), "lease_until": None}
            rows = [{**each, "created_at": moment} for each in (under_way, later)]
            connection.execute(sa.insert(DELIVERIES), rows)
        IdempotencyKeys(database).begin(None, "k", asked)
        for each in (module, delivery_module, webhooks_module, idempotency_module):
            monkeypatch.setattr(each, "datetime", Fast)
        ahead = Webhooks(database, seal, private=True)
        assert ahead.redeliver(webhook.id, str(under_way["id"]), owner=None).attempts == 1  # it is being sent
        with pytest.raises(IdempotencyInProgressError):
            IdempotencyKeys(database).begin(None, "k", asked)
        deliverer = Deliverer(database, seal, private=True, poll_seconds=0.02)
        deliverer.start()
        try:
            tried = ahead.test(webhook.id, owner=None)
            (request,) = receiver.wait(1)
            assert request.headers["webhook-id"] == tried.message_id
            assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
        finally:
            deliverer.close()
        assert len(receiver.received) == 1


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
