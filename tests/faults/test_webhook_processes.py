"""Processes that deliver are killed in the middle: everything is told, and little of it twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from facecraft.db.database import Database
from facecraft.db.tables import DELIVERIES
from facecraft.jobs.webhooks.delivery import PLACES_EACH
from facecraft.jobs.webhooks.outbox import announce
from facecraft.jobs.webhooks.records import DeliveryState, EventType, NewWebhook
from facecraft.jobs.webhooks.sealing import Seal
from facecraft.jobs.webhooks.webhooks import Webhooks
from services.receivers import run_receiver

MESSAGES, KILLS = 30, 3
PROCESS = """
import sys, time
from datetime import UTC, datetime, timedelta
from facecraft.db.database import Database
from facecraft.jobs.webhooks.delivery import Deliverer
from facecraft.jobs.webhooks.sealing import Seal
fast = timedelta(minutes=int(sys.argv[2]))
with Database.open(sys.argv[1]) as database:
    seal = Seal(lambda: "5f2c8e1b9a7d4063b1e8c2f7a9d05e34")
    Deliverer(database, seal, private=True, clock=lambda: datetime.now(UTC) + fast, poll_seconds=0.02).start()
    time.sleep(60)
"""


@contextmanager
def process(url: str, minutes: int) -> Iterator[None]:
    """A process whose clock is so many minutes fast; it ends by kill −9."""
    child = subprocess.Popen([sys.executable, "-c", PROCESS, url, str(minutes)])
    try:
        yield
    finally:
        child.kill()
        child.wait(timeout=10)


def test_everything_is_told_although_processes_are_killed(database_url: str) -> None:
    with Database.open(database_url) as database, run_receiver() as receiver:
        database.migrate()
        webhooks = Webhooks(database, Seal(lambda: "5f2c8e1b9a7d4063b1e8c2f7a9d05e34"), private=True)
        webhook = webhooks.create(NewWebhook(url=receiver.url()), owner=None)
        receiver.before = lambda: time.sleep(0.05)
        with database.write() as connection:
            for number in range(MESSAGES):
                announce(connection, owner=None, job_id=webhook.id, type=EventType.JOB_FAILED, data={"number": number})
        # Each process finds the leases of the one before run out, because its clock is further on.
        for kill in range(KILLS):
            seen = len(receiver.received)
            with process(database_url, 2 * kill):
                receiver.wait(seen + 5, 30)
        with process(database_url, 2 * KILLS):
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and _left(database):
                time.sleep(0.05)
        assert _left(database) == 0
        ids = [request.headers["webhook-id"] for request in receiver.received]
        wanted = {one.message_id for one in webhooks.deliveries(webhook.id, owner=None, limit=200).items}
        assert set(ids) == wanted
        assert len(wanted) == MESSAGES
        assert len(ids) <= MESSAGES + KILLS * PLACES_EACH


def _left(database: Database) -> int:
    waiting = sa.select(sa.func.count()).where(DELIVERIES.c.state != DeliveryState.DELIVERED.value)
    with database.read() as connection:
        return int(connection.execute(waiting).scalar_one())
