"""What webhooks promise to their owners and to receivers, shown on SQLite and on a real Postgres."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from threading import enumerate as enumerate_threads

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook as Verifier

from facecraft.db.database import Database
from facecraft.db.tables import DELIVERIES, METADATA, WEBHOOKS
from facecraft.errors import (
    AddressRefusedError,
    DeliveryNotFoundError,
    InvalidOptionError,
    SecretUnreadableError,
    StorageAccessError,
    TooManyWebhooksError,
    WebhookDisabledError,
    WebhookNotFoundError,
)
from facecraft.jobs.job import Item, NewJob
from facecraft.jobs.repository import JobRepository
from facecraft.jobs.tasks import FacesTask
from facecraft.jobs.webhooks import rows
from facecraft.jobs.webhooks.delivery import TAKEN_TOO_OFTEN, UNEXPECTED, UNSIGNED, Deliverer
from facecraft.jobs.webhooks.outbox import MAX_PAYLOAD, announce, announce_end
from facecraft.jobs.webhooks.records import Delivery, DeliveryState, EventType, NewWebhook, SecretWebhook, WebhookChange
from facecraft.jobs.webhooks.schedule import STEPS, Schedule
from facecraft.jobs.webhooks.sealing import Seal
from facecraft.jobs.webhooks.webhooks import MAX_WEBHOOKS, Webhooks
from facecraft.pipelines.recognition import EmbedOptions
from services.receivers import Receiver, run_receiver

OWNER, STRANGER = "user-1", "user-2"
JOB = "01900000-0000-7000-8000-000000000001"
SECRET = "5f2c8e1b9a7d4063b1e8c2f7a9d05e34"
SEAL = Seal(lambda: SECRET)
HOURLY = Schedule(steps=(timedelta(0), timedelta(hours=1)))
AT_ONCE = Schedule(steps=(timedelta(0),) * 4)


class Clock:
    """A clock that a test turns. It is a minute fast, so that what is told now is due; receivers allow five."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC) + timedelta(minutes=1)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, span: timedelta) -> None:
        self.now += span


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database.open(database_url) as opened:
        opened.migrate()
        yield opened


@pytest.fixture
def webhooks(database: Database, clock: Clock) -> Webhooks:
    return Webhooks(database, SEAL, private=True, clock=clock)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with run_receiver() as running:
        yield running


@pytest.fixture
def deliver(database: Database, clock: Clock) -> Iterator[Callable[..., Deliverer]]:
    """Start processes that deliver."""
    with ExitStack() as stack:

        def start(schedule: Schedule = AT_ONCE, **options: object) -> Deliverer:
            given = {"seal": SEAL, "private": True, "clock": clock, "poll_seconds": 0.02, **options}
            deliverer = Deliverer(database, schedule=schedule, **given)  # type: ignore[arg-type]
            deliverer.start()
            stack.callback(deliverer.close)
            return deliverer

        yield start


def add(webhooks: Webhooks, url: str, *types: EventType, owner: str | None = OWNER) -> SecretWebhook:
    return webhooks.create(NewWebhook(url=url, types=frozenset(types or EventType)), owner=owner)


def tell(database: Database, kind: EventType = EventType.JOB_SUCCEEDED, owner: str | None = OWNER) -> int:
    with database.write() as connection:
        return announce(connection, owner=owner, job_id=JOB, type=kind, data={"name": "portrait", "state": "x"})


def log_of(webhooks: Webhooks, webhook: SecretWebhook) -> list[Delivery]:
    return list(webhooks.deliveries(webhook.id, owner=OWNER).items)


def until(webhooks: Webhooks, webhook: SecretWebhook, met: Callable[[Delivery], bool]) -> Delivery:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = log_of(webhooks, webhook)
        if found and met(found[0]):
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"it never happened: {log_of(webhooks, webhook)}")


# --- the rows of an owner ------------------------------------------------------------------------------------------


def test_a_webhook_is_made_read_changed_and_deleted(webhooks: Webhooks) -> None:
    made = add(webhooks, "http://127.0.0.1:9/a", EventType.JOB_FAILED)
    assert made.secret.startswith("whsec_")
    seen = webhooks.get(made.id, owner=OWNER)
    assert (seen.url, seen.types, seen.enabled) == ("http://127.0.0.1:9/a", (EventType.JOB_FAILED,), True)
    assert made.secret not in seen.model_dump_json()
    changed = webhooks.change(made.id, WebhookChange(url="http://127.0.0.1:9/b"), owner=OWNER)
    assert (changed.url, changed.types) == ("http://127.0.0.1:9/b", (EventType.JOB_FAILED,))
    changed = webhooks.change(made.id, WebhookChange(types=frozenset(EventType)), owner=OWNER)
    assert set(changed.types) == set(EventType)
    webhooks.delete(made.id, owner=OWNER)
    with pytest.raises(WebhookNotFoundError):
        webhooks.get(made.id, owner=OWNER)


@pytest.mark.parametrize("stranger", [STRANGER, None])
def test_a_stranger_finds_nothing(webhooks: Webhooks, database: Database, stranger: str | None) -> None:
    made = add(webhooks, "http://127.0.0.1:9/")
    tell(database)
    (delivery,) = log_of(webhooks, made)
    for attempt in (
        lambda: webhooks.get(made.id, owner=stranger),
        lambda: webhooks.change(made.id, WebhookChange(enabled=False), owner=stranger),
        lambda: webhooks.change(made.id, WebhookChange(url="http://127.0.0.1/"), owner=stranger),
        lambda: webhooks.delete(made.id, owner=stranger),
        lambda: webhooks.rotate(made.id, owner=stranger),
        lambda: webhooks.test(made.id, owner=stranger),
        lambda: webhooks.deliveries(made.id, owner=stranger),
        lambda: webhooks.redeliver(made.id, delivery.id, owner=stranger),
        lambda: webhooks.get("no id", owner=OWNER),
    ):
        with pytest.raises(WebhookNotFoundError):
            attempt()
    assert webhooks.browse(owner=stranger).items == ()
    other = add(webhooks, "http://127.0.0.1:9/", owner=stranger)
    for delivery_id in (delivery.id, "no id"):
        with pytest.raises(DeliveryNotFoundError):
            webhooks.redeliver(other.id, delivery_id, owner=stranger)
    assert log_of(webhooks, made) == [delivery]


def test_webhooks_come_in_pages(webhooks: Webhooks) -> None:
    made = [add(webhooks, f"http://127.0.0.1:9/{number}").id for number in range(5)]
    first = webhooks.browse(owner=OWNER, limit=3)
    second = webhooks.browse(owner=OWNER, limit=3, cursor=first.cursor)
    assert [one.id for one in (*first.items, *second.items)] == made
    assert second.cursor is None
    with pytest.raises(InvalidOptionError):
        webhooks.browse(owner=OWNER, cursor="x")


def test_there_are_never_more_than_allowed_even_when_added_at_once(webhooks: Webhooks) -> None:
    for _ in range(MAX_WEBHOOKS - 3):
        add(webhooks, "http://127.0.0.1:9/")
    add(webhooks, "http://127.0.0.1:9/", owner=STRANGER)

    def one_more(_: int) -> bool:
        try:
            add(webhooks, "http://127.0.0.1:9/")
        except TooManyWebhooksError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one_more, range(8))) == 3
    assert len(webhooks.browse(owner=OWNER).items) == MAX_WEBHOOKS


def test_where_private_addresses_are_allowed_the_hint_does_not_ask_for_the_internet(database: Database) -> None:
    for private, word in ((True, "http or https"), (False, "whole internet")):
        with pytest.raises(AddressRefusedError) as refused:
            Webhooks(database, SEAL, private=private, ask=lambda _: []).create(
                NewWebhook(url="ftp://10.0.0.1/"), owner=None
            )
        assert word in str(refused.value.hint)
        assert ("or http://" in refused.value.message) is private


def test_only_the_operator_is_told_which_private_names_there_are(database: Database) -> None:
    careful = Webhooks(database, SEAL, ask=lambda name: ["10.0.0.1"] if "intra" in name else [])
    told: dict[tuple[str | None, str], str] = {}
    for owner in (OWNER, None):
        for name in ("intra", "nobody"):
            with pytest.raises(AddressRefusedError) as refused:
                add(careful, f"https://{name}.example/", owner=owner)
            told[owner, name] = refused.value.message
    assert told[OWNER, "intra"] == told[OWNER, "nobody"]
    assert "private network" in told[None, "intra"]
    assert "Nobody answers" in told[None, "nobody"]


def test_private_addresses_are_refused_when_they_are_made_and_changed(database: Database) -> None:
    careful = Webhooks(database, SEAL, ask=lambda name: ["10.0.0.1" if "intra" in name else "8.8.8.8"])
    for url in ("https://127.0.0.1/", "https://intra.example/", "http://example.com/", "https://[::1]/"):
        with pytest.raises(AddressRefusedError):
            add(careful, url)
    made = add(careful, "https://example.com/")
    with pytest.raises(AddressRefusedError):
        careful.change(made.id, WebhookChange(url="https://intra.example/"), owner=OWNER)
    assert careful.get(made.id, owner=OWNER).url == "https://example.com/"


# --- what is written down ------------------------------------------------------------------------------------------


def test_every_enabled_webhook_of_the_owner_that_wants_it_is_told(webhooks: Webhooks, database: Database) -> None:
    wants = [add(webhooks, "http://127.0.0.1:9/", EventType.JOB_FAILED) for _ in range(2)]
    add(webhooks, "http://127.0.0.1:9/", EventType.JOB_SUCCEEDED)
    add(webhooks, "http://127.0.0.1:9/", owner=STRANGER)
    add(webhooks, "http://127.0.0.1:9/", owner=None)
    off = add(webhooks, "http://127.0.0.1:9/")
    webhooks.change(off.id, WebhookChange(enabled=False), owner=OWNER)
    assert tell(database, EventType.JOB_FAILED) == 2
    for webhook in wants:
        (delivery,) = log_of(webhooks, webhook)
        body = json.loads(delivery.payload)
        assert (body["type"], body["data"]["job_id"], body["data"]["name"]) == ("job.failed", JOB, "portrait")
        assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
        assert delivery.message_id == f"msg_{delivery.id}"
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(DELIVERIES)).scalar_one() == 2


def test_nothing_is_told_of_what_was_undone(webhooks: Webhooks, database: Database) -> None:
    webhook = add(webhooks, "http://127.0.0.1:9/")

    def fail() -> None:
        with database.write() as connection:
            assert announce(connection, owner=OWNER, job_id=JOB, type=EventType.JOB_FAILED, data={}) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert log_of(webhooks, webhook) == []


def test_a_body_stays_small(webhooks: Webhooks, database: Database) -> None:
    webhook = add(webhooks, "http://127.0.0.1:9/")
    with database.write() as connection:
        announce(connection, owner=OWNER, job_id=JOB, type=EventType.JOB_FAILED, data={"failure": "ü" * 30_000})
    (delivery,) = log_of(webhooks, webhook)
    assert len(delivery.payload.encode()) < MAX_PAYLOAD
    assert json.loads(delivery.payload)["data"] == {"job_id": JOB}


def test_the_end_of_a_job_is_told_once_with_its_state(webhooks: Webhooks, database: Database, clock: Clock) -> None:
    webhook = add(webhooks, "http://127.0.0.1:9/")
    jobs = JobRepository(database, clock=clock, told=announce_end)
    task = FacesTask(name="embeddings", options=EmbedOptions())
    job = jobs.add(NewJob(OWNER, task, (Item(0, "me.jpg", {}),)))
    jobs.cancel(OWNER, job.id)
    (delivery,) = log_of(webhooks, webhook)
    data = json.loads(delivery.payload)["data"]
    assert (delivery.type, delivery.job_id) == ("job.cancelled", job.id)
    assert (data["job_id"], data["state"], data["name"]) == (job.id, "cancelled", job.name)
    assert data["created_at"].endswith("Z")
    assert data["finished_at"].endswith("Z")
    assert data["items"] == {"total": 1, "succeeded": 0, "failed": 0}
    assert "me.jpg" not in delivery.payload


def test_an_end_and_the_deletion_of_its_webhook_may_come_together(webhooks: Webhooks, database: Database) -> None:
    made = [add(webhooks, "http://127.0.0.1:9/") for _ in range(10)]
    with ThreadPoolExecutor(4) as pool:
        tellings = [pool.submit(tell, database) for _ in range(20)]
        deletions = [pool.submit(webhooks.delete, one.id, owner=OWNER) for one in made]
        for future in (*tellings, *deletions):
            future.result(timeout=60)
    assert webhooks.browse(owner=OWNER).items == ()


# --- delivery ------------------------------------------------------------------------------------------------------


def test_a_message_arrives_signed(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer]
) -> None:
    webhook = add(webhooks, receiver.url())
    deliver()
    tell(database)
    (request,) = receiver.wait(1)
    body = Verifier(webhook.secret).verify(request.body, request.headers)
    assert body["type"] == "job.succeeded"
    done = until(webhooks, webhook, lambda one: one.state is DeliveryState.DELIVERED)
    assert (done.attempts, done.last_status, done.next_attempt_at) == (1, 204, None)
    assert request.path == "/hook?from=facecraft"
    assert request.headers["webhook-id"] == done.message_id
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("facecraft/")


def test_after_a_rotation_both_secrets_sign_for_a_day(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer], clock: Clock
) -> None:
    old = add(webhooks, receiver.url())
    new = webhooks.rotate(old.id, owner=OWNER)
    assert new.old_secret_until == clock() + timedelta(hours=24)
    deliver()
    tell(database)
    (request,) = receiver.wait(1)
    for secret in (old.secret, new.secret):
        Verifier(secret).verify(request.body, request.headers)
    clock.turn(timedelta(hours=24))
    tell(database)
    assert len(receiver.wait(2)[1].headers["webhook-signature"].split()) == 1


def test_the_database_does_not_hold_what_signs(webhooks: Webhooks, database: Database) -> None:
    made = add(webhooks, "http://127.0.0.1:9/")
    new = webhooks.rotate(made.id, owner=OWNER)
    with database.read() as connection:
        rows = str([connection.execute(sa.select(table)).all() for table in METADATA.sorted_tables])
    for secret in (made.secret, new.secret):
        assert secret not in rows
        assert secret.removeprefix("whsec_") not in rows


def test_a_note_is_written_with_a_webhook_or_there_is_none(webhooks: Webhooks) -> None:
    def fail(_: sa.Connection) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        webhooks.create(NewWebhook(url="http://127.0.0.1:9/"), owner=OWNER, added=lambda _: fail)
    assert webhooks.browse(owner=OWNER).items == ()


def test_a_secret_is_shown_again_to_its_owner_by_a_server_that_can_read_it(
    webhooks: Webhooks, database: Database
) -> None:
    made = add(webhooks, "http://127.0.0.1:9/")
    assert webhooks.reveal(made.id, owner=OWNER) == made
    assert webhooks.reveal(made.id, owner=OWNER).secret != webhooks.rotate(made.id, owner=OWNER).secret
    with pytest.raises(WebhookNotFoundError):
        webhooks.reveal(made.id, owner=STRANGER)
    with pytest.raises(SecretUnreadableError):
        Webhooks(database, Seal(lambda: "another secret of the server")).reveal(made.id, owner=OWNER)


def test_a_secret_that_cannot_be_read_is_said_and_a_rotation_helps(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer]
) -> None:
    webhook = add(webhooks, receiver.url())
    other = Seal(lambda: "another secret of the server, which was changed")
    deliver(HOURLY, seal=other)
    tell(database)
    missed = until(webhooks, webhook, lambda one: one.last_error is not None)
    assert (missed.state, missed.last_error, missed.last_status) == (DeliveryState.PENDING, UNSIGNED, None)
    assert receiver.received == []
    changed = Webhooks(database, other, private=True)
    new = changed.rotate(webhook.id, owner=OWNER)
    changed.redeliver(webhook.id, missed.id, owner=OWNER)
    (request,) = receiver.wait(1)
    assert len(request.headers["webhook-signature"].split()) == 1  # the old secret cannot sign any more
    Verifier(new.secret).verify(request.body, request.headers)


def test_a_server_that_cannot_get_at_its_own_secret_says_so_and_tries_again(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer]
) -> None:
    asked: list[bool] = []

    def secret() -> str:
        asked.append(True)
        if len(asked) == 1:
            raise StorageAccessError("The secret /home/ann/jwt-secret cannot be read.")
        return SECRET

    webhook = add(webhooks, receiver.url())
    deliver(HOURLY, seal=Seal(secret))
    tell(database)
    missed = until(webhooks, webhook, lambda one: one.last_error is not None)
    assert missed.last_error == UNSIGNED
    webhooks.redeliver(webhook.id, missed.id, owner=OWNER)
    (request,) = receiver.wait(1)
    Verifier(webhook.secret).verify(request.body, request.headers)


def test_an_attempt_that_failed_is_made_again_under_the_same_id(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer]
) -> None:
    receiver.statuses = [500, 302, 429, 200]
    webhook = add(webhooks, receiver.url())
    tell(database)
    deliver()
    requests = receiver.wait(4)
    done = until(webhooks, webhook, lambda one: one.state is DeliveryState.DELIVERED)
    assert done.attempts == 4
    assert {request.headers["webhook-id"] for request in requests} == {done.message_id}
    assert {request.body for request in requests} == {done.payload.encode()}
    assert done.last_error is None


def test_the_whole_schedule_is_kept_and_then_the_webhook_is_given_up(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer], clock: Clock
) -> None:
    receiver.statuses = [503]
    webhook = add(webhooks, receiver.url())
    tell(database)
    deliver(Schedule(chance=lambda: 0.0))
    for number, step in enumerate(STEPS, 1):
        clock.turn(step - timedelta(seconds=1) if step else step)
        if number > 1:
            assert len(receiver.received) == number - 1, "it came before its time"
            clock.turn(timedelta(seconds=1))
        receiver.wait(number)
        until(webhooks, webhook, lambda one: one.next_attempt_at is None or one.next_attempt_at > clock())
    done = until(webhooks, webhook, lambda one: one.state is DeliveryState.FAILED)
    assert done.next_attempt_at is None
    seen = webhooks.get(webhook.id, owner=OWNER)
    assert not seen.enabled
    assert "Nothing arrived since" in (seen.disabled_why or "")
    assert tell(database) == 0


def test_a_webhook_that_hears_other_things_is_not_given_up(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer]
) -> None:
    webhook = add(webhooks, receiver.url())
    receiver.statuses = [500, 200, 500]
    deliver(Schedule(steps=(timedelta(0), timedelta(seconds=5)), chance=lambda: 0.0), clock=lambda: datetime.now(UTC))
    tell(database)
    first = until(webhooks, webhook, lambda one: one.attempts == 1 and one.last_status == 500)
    tell(database)
    until(webhooks, webhook, lambda one: one.state is DeliveryState.DELIVERED)
    with database.write() as connection:  # its time has come
        connection.execute(sa.update(DELIVERIES).where(DELIVERIES.c.id == first.id).values(due_at=datetime.now(UTC)))
    receiver.wait(3)
    deadline = time.monotonic() + 10
    while log_of(webhooks, webhook)[1].state is not DeliveryState.FAILED and time.monotonic() < deadline:
        time.sleep(0.02)
    assert log_of(webhooks, webhook)[1].state is DeliveryState.FAILED
    assert webhooks.get(webhook.id, owner=OWNER).enabled


def test_gone_disables_at_once_and_gives_up_what_waits(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer]
) -> None:
    webhook = add(webhooks, receiver.url())
    receiver.statuses = [410]
    for _ in range(6):
        tell(database)
    deliver()
    deadline = time.monotonic() + 10
    while any(one.state is DeliveryState.PENDING for one in log_of(webhooks, webhook)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert {one.state for one in log_of(webhooks, webhook)} == {DeliveryState.FAILED}
    seen = webhooks.get(webhook.id, owner=OWNER)
    assert (seen.enabled, seen.disabled_why) == (False, "It answered 410 Gone.")
    with pytest.raises(WebhookDisabledError):
        webhooks.test(webhook.id, owner=OWNER)
    with pytest.raises(WebhookDisabledError):
        webhooks.redeliver(webhook.id, log_of(webhooks, webhook)[0].id, owner=OWNER)


def test_a_disabled_webhook_can_be_enabled_and_what_it_missed_sent_by_hand(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer]
) -> None:
    webhook = add(webhooks, receiver.url())
    tell(database)
    webhooks.change(webhook.id, WebhookChange(enabled=False), owner=OWNER)
    (missed,) = log_of(webhooks, webhook)
    assert missed.state is DeliveryState.FAILED
    assert webhooks.change(webhook.id, WebhookChange(enabled=True), owner=OWNER).disabled_why is None
    deliver()
    again = webhooks.redeliver(webhook.id, missed.id, owner=OWNER)
    assert (again.id, again.state, again.attempts) == (missed.id, DeliveryState.PENDING, 0)
    (request,) = receiver.wait(1)
    assert request.headers["webhook-id"] == missed.message_id
    until(webhooks, webhook, lambda one: one.state is DeliveryState.DELIVERED)
    webhooks.redeliver(webhook.id, missed.id, owner=OWNER)
    assert {one.headers["webhook-id"] for one in receiver.wait(2)} == {missed.message_id}


def test_a_receiver_may_ask_for_a_pause(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer], clock: Clock
) -> None:
    receiver.statuses, receiver.headers = [429], {"Retry-After": "3600"}
    webhook = add(webhooks, receiver.url())
    tell(database)
    deliver()
    missed = until(webhooks, webhook, lambda one: one.last_status == 429)
    assert missed.next_attempt_at == clock() + timedelta(hours=1)


def test_a_pause_that_nobody_can_read_makes_no_attempt_without_end(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer]
) -> None:
    webhook = add(webhooks, receiver.url())
    receiver.statuses[:] = [503]
    receiver.headers["Retry-After"] = "1 Jan 99999999999999999999 00:00:00 GMT"
    deliver()
    tell(database)
    failed = until(webhooks, webhook, lambda one: one.state is DeliveryState.FAILED)
    assert (failed.attempts, failed.last_status, failed.last_error) == (4, 503, "The answer was 503.")
    assert not webhooks.get(webhook.id, owner=OWNER).enabled


def test_an_error_that_nobody_foresaw_is_a_missed_attempt(
    webhooks: Webhooks, database: Database, deliver: Callable[..., Deliverer]
) -> None:
    def broken() -> str:
        raise ZeroDivisionError

    webhook = add(webhooks, "http://127.0.0.1:9/")
    deliver(seal=Seal(broken))
    tell(database)
    failed = until(webhooks, webhook, lambda one: one.state is DeliveryState.FAILED)
    assert (failed.attempts, failed.last_status, failed.last_error) == (4, None, UNEXPECTED)
    assert not webhooks.get(webhook.id, owner=OWNER).enabled


def test_why_an_attempt_failed_can_be_kept_whatever_is_in_it(
    webhooks: Webhooks, database: Database, deliver: Callable[..., Deliverer]
) -> None:
    def ask(_: str) -> list[str]:
        raise AddressRefusedError("no\x00thing\udfff")

    webhook = add(webhooks, "http://127.0.0.1:9/")
    with database.write() as connection:
        connection.execute(sa.update(WEBHOOKS).values(url="http://odd.example/"))
    deliver(ask=ask)
    tell(database)
    failed = until(webhooks, webhook, lambda one: one.state is DeliveryState.FAILED)
    assert (failed.attempts, failed.last_error) == (4, "no\ufffdthing\ufffd")


def test_what_was_taken_up_too_often_without_a_note_is_not_sent_again(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer], clock: Clock
) -> None:
    webhook = add(webhooks, receiver.url())
    tell(database)
    with database.write() as connection:
        connection.execute(sa.update(DELIVERIES).values(attempt=4, lease_until=clock() - timedelta(seconds=1)))
    deliver()
    failed = until(webhooks, webhook, lambda one: one.state is DeliveryState.FAILED)
    assert failed.last_error == TAKEN_TOO_OFTEN
    assert receiver.received == []
    assert not webhooks.get(webhook.id, owner=OWNER).enabled


def test_a_test_is_tried_once_and_disables_nothing(
    webhooks: Webhooks, receiver: Receiver, deliver: Callable[..., Deliverer]
) -> None:
    webhook = add(webhooks, receiver.url())
    receiver.statuses = [500, 200]
    deliver()
    webhooks.test(webhook.id, owner=OWNER)
    failed = until(webhooks, webhook, lambda one: one.state is DeliveryState.FAILED)
    assert (failed.type, failed.attempts, failed.last_status) == ("webhook.test", 1, 500)
    assert webhooks.get(webhook.id, owner=OWNER).enabled
    webhooks.test(webhook.id, owner=OWNER)
    until(webhooks, webhook, lambda one: one.state is DeliveryState.DELIVERED)
    assert Verifier(webhook.secret).verify(receiver.received[1].body, receiver.received[1].headers) == {
        "type": "webhook.test",
        "timestamp": json.loads(receiver.received[1].body)["timestamp"],
        "data": {"webhook_id": webhook.id},
    }


def test_a_name_that_leads_inside_later_is_refused_at_the_delivery(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer]
) -> None:
    careful = Webhooks(database, SEAL, ask=lambda _: ["8.8.8.8"])
    webhook = add(careful, receiver.url("rebind.example", "https"))
    tell(database)
    deliver(Schedule(steps=(timedelta(0),)), private=False, ask=lambda _: ["127.0.0.1"])
    missed = until(webhooks, webhook, lambda one: one.state is DeliveryState.FAILED)
    assert missed.last_status is None
    assert "private" in (missed.last_error or "")
    assert receiver.received == []


def test_several_processes_send_everything_once(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer]
) -> None:
    for _ in range(3):
        add(webhooks, receiver.url())
    for _ in range(3):
        deliver()
    for _ in range(20):
        tell(database)
    receiver.wait(60)
    time.sleep(0.2)
    ids = [request.headers["webhook-id"] for request in receiver.received]
    assert len(ids) == len(set(ids)) == 60


def test_what_a_dead_process_took_is_sent_by_another(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer], clock: Clock
) -> None:
    webhook = add(webhooks, receiver.url())
    tell(database)
    with database.write() as connection:  # and then it was killed
        taken = rows.claim(connection, clock(), clock() + timedelta(seconds=60), limit=9, each=9, busy=())
    assert len(taken) == 1
    deliver()
    time.sleep(0.2)
    assert receiver.received == []
    clock.turn(timedelta(seconds=61))
    receiver.wait(1)
    done = until(webhooks, webhook, lambda one: one.state is DeliveryState.DELIVERED)
    assert done.attempts == 2
    with database.write() as connection:  # the dead one comes back and finds its lease gone
        assert not rows.mark_missed(connection, taken[0], 500, "too late", None)
    assert log_of(webhooks, webhook)[0].state is DeliveryState.DELIVERED


def test_a_slow_receiver_holds_up_nobody_else(
    webhooks: Webhooks, database: Database, receiver: Receiver, deliver: Callable[..., Deliverer]
) -> None:
    with run_receiver() as slow:
        slow.before = lambda: time.sleep(1.5)
        add(webhooks, slow.url())
        for _ in range(40):
            tell(database)
        webhook = add(webhooks, receiver.url())
        deliver()
        slow.wait(1)
        tell(database)
        until(webhooks, webhook, lambda one: one.state is DeliveryState.DELIVERED)
        assert len(slow.received) <= 8


def test_old_deliveries_are_swept(webhooks: Webhooks, database: Database, clock: Clock) -> None:
    webhook = add(webhooks, "http://127.0.0.1:9/")
    tell(database)
    assert webhooks.sweep(clock() + timedelta(days=29)) == 0
    assert len(log_of(webhooks, webhook)) == 1
    assert webhooks.sweep(clock() + timedelta(days=31)) == 1
    assert log_of(webhooks, webhook) == []


def test_deliveries_come_in_pages_the_newest_first(webhooks: Webhooks, database: Database) -> None:
    webhook = add(webhooks, "http://127.0.0.1:9/")
    for _ in range(5):
        tell(database)
    first = webhooks.deliveries(webhook.id, owner=OWNER, limit=3)
    tell(database)
    second = webhooks.deliveries(webhook.id, owner=OWNER, limit=3, cursor=first.cursor)
    ids = [one.id for one in (*first.items, *second.items)]
    assert ids == sorted(ids, reverse=True)
    assert (len(ids), second.cursor) == (5, None)


# --- TLS -----------------------------------------------------------------------------------------------------------


@contextmanager
def tls(folder: Path, name: str) -> Iterator[tuple[Receiver, ssl.SSLContext]]:
    """A receiver whose certificate is for ``name``, and a context that trusts it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out",
             str(certificate)]  # fmt: skip
    try:
        subprocess.run(words, check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("openssl is not installed: apt-get install openssl")
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate, key)
    with run_receiver(own) as running:
        yield running, ssl.create_default_context(cafile=str(certificate))


@pytest.mark.parametrize(("name", "arrives"), [("hooks.example", True), ("other.example", False)])
def test_the_certificate_must_be_for_the_name_although_the_number_is_called(
    database: Database, deliver: Callable[..., Deliverer], tmp_path: Path, name: str, arrives: bool
) -> None:
    with tls(tmp_path, "hooks.example") as (receiver, certificates):
        known = Webhooks(database, SEAL, private=True, ask=lambda _: ["127.0.0.1"])
        webhook = add(known, receiver.url(name, "https"))
        tell(database)
        deliver(Schedule(steps=(timedelta(0),)), ask=lambda _: ["127.0.0.1"], certificates=certificates)
        done = until(known, webhook, lambda one: one.state is not DeliveryState.PENDING)
        assert (done.state is DeliveryState.DELIVERED) is arrives, done.last_error
        assert bool(receiver.received) is arrives
        if arrives:
            assert receiver.received[0].headers["host"] == f"{name}:{receiver.port}"
        else:
            assert "CERTIFICATE_VERIFY_FAILED" in (done.last_error or "")


def test_names_that_are_never_answered_hold_up_nobody_else(
    webhooks: Webhooks, database: Database, clock: Clock, deliver: Callable[..., Deliverer], receiver: Receiver
) -> None:
    over = Event()

    def ask(name: str) -> list[str]:
        if name == "tar.example":
            over.wait(60)
        return ["127.0.0.1"]

    asking = Webhooks(database, SEAL, private=True, clock=clock, ask=lambda _: ["127.0.0.1"])
    for _ in range(12):  # as often as they are tried, more than all the threads there are for questions to the database
        add(asking, "http://tar.example/", EventType.JOB_FAILED, owner=STRANGER)
    for _ in range(2):
        tell(database, EventType.JOB_FAILED, owner=STRANGER)
    try:
        deliverer = deliver(ask=ask, seconds=0.1)
        deadline = time.monotonic() + 20
        while sum(thread.name == "facecraft-resolving" for thread in enumerate_threads()) < 45:
            assert time.monotonic() < deadline, "nobody asked"
            time.sleep(0.02)
        webhook = add(webhooks, receiver.url())
        tell(database)
        until(webhooks, webhook, lambda one: one.state is DeliveryState.DELIVERED)
        deliverer.close()
        # The process can end: Python waits for threads that are no daemons.
        assert all(thread.daemon for thread in enumerate_threads() if thread.name == "facecraft-resolving")
    finally:
        over.set()
