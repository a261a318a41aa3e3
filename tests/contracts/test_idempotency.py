"""What idempotency keys promise, shown on SQLite and on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from facecraft.db.database import Database
from facecraft.errors import IdempotencyInProgressError, IdempotencyKeyError, IdempotencyMismatchError
from facecraft.jobs.idempotency import KEPT, TAKEOVER, IdempotencyKeys, Replay, Started, keep

OWNER, STRANGER = "user-1", "user-2"
ASKED, OTHER = "a" * 64, "b" * 64


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

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
def keys(database: Database, clock: Clock) -> IdempotencyKeys:
    return IdempotencyKeys(database, clock=clock)


def begun(keys: IdempotencyKeys, key: str = "k", owner: str | None = OWNER) -> Started:
    started = keys.begin(owner, key, ASKED)
    assert isinstance(started, Started)
    return started


@pytest.mark.parametrize("owner", [OWNER, None])
def test_a_reply_is_replayed_exactly_for_a_day(keys: IdempotencyKeys, clock: Clock, owner: str | None) -> None:
    body = bytes(range(256))
    assert keys.finish(begun(keys, owner=owner), 500, {"location": "/api/v1/jobs/1"}, body)
    replay = Replay(500, {"location": "/api/v1/jobs/1"}, body)
    assert keys.begin(owner, "k", ASKED) == replay
    clock.turn(KEPT - timedelta(seconds=1))
    assert keys.begin(owner, "k", ASKED) == replay
    clock.turn(timedelta(seconds=1))
    assert isinstance(keys.begin(owner, "k", OTHER), Started)


def test_another_request_with_the_key_is_an_error(keys: IdempotencyKeys) -> None:
    started = begun(keys)
    with pytest.raises(IdempotencyMismatchError):
        keys.begin(OWNER, "k", OTHER)
    keys.finish(started, 202, {}, b"")
    with pytest.raises(IdempotencyMismatchError):
        keys.begin(OWNER, "k", OTHER)


def test_a_second_one_must_wait_for_the_first(keys: IdempotencyKeys) -> None:
    started = begun(keys)
    with pytest.raises(IdempotencyInProgressError):
        keys.begin(OWNER, "k", ASKED)
    keys.finish(started, 202, {}, b"x")
    assert isinstance(keys.begin(OWNER, "k", ASKED), Replay)


def test_what_is_forgotten_may_come_again_even_otherwise(keys: IdempotencyKeys) -> None:
    keys.forget(begun(keys))
    assert isinstance(keys.begin(OWNER, "k", OTHER), Started)


def test_forgetting_does_not_undo_a_reply(keys: IdempotencyKeys) -> None:
    started = begun(keys)
    keys.finish(started, 202, {}, b"x")
    keys.forget(started)
    assert isinstance(keys.begin(OWNER, "k", ASKED), Replay)


def test_keys_of_others_are_other_keys(keys: IdempotencyKeys) -> None:
    keys.finish(begun(keys), 202, {}, b"mine")
    for owner in (STRANGER, None):
        assert isinstance(keys.begin(owner, "k", OTHER), Started)


def test_one_of_many_at_once_begins(keys: IdempotencyKeys) -> None:
    def begin(_: int) -> bool:
        try:
            return isinstance(keys.begin(OWNER, "k", ASKED), Started)
        except IdempotencyInProgressError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(begin, range(24))) == 1


def test_a_dead_request_is_taken_over_once_and_cannot_come_back(
    keys: IdempotencyKeys, database: Database, clock: Clock
) -> None:
    dead = begun(keys)
    clock.turn(TAKEOVER - timedelta(seconds=1))
    with pytest.raises(IdempotencyInProgressError):
        keys.begin(OWNER, "k", ASKED)
    clock.turn(timedelta(seconds=1))
    with pytest.raises(IdempotencyMismatchError):
        keys.begin(OWNER, "k", OTHER)
    heir = begun(keys)
    with pytest.raises(IdempotencyInProgressError):
        keys.begin(OWNER, "k", ASKED)
    assert not keys.finish(dead, 202, {}, b"late")
    keys.forget(dead)
    with database.write() as connection:
        assert keep(connection, heir, 202, {}, b"in time")
    replay = keys.begin(OWNER, "k", ASKED)
    assert isinstance(replay, Replay)
    assert replay.body == b"in time"


def test_a_reply_is_kept_with_what_it_tells_of_or_not_at_all(keys: IdempotencyKeys, database: Database) -> None:
    started = begun(keys)

    def fail() -> None:
        with database.write() as connection:
            assert keep(connection, started, 202, {}, b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pytest.raises(IdempotencyInProgressError):
        keys.begin(OWNER, "k", ASKED)


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\n", "é", "\x7f", "a\x00"])
def test_odd_keys_are_refused(keys: IdempotencyKeys, key: str) -> None:
    with pytest.raises(IdempotencyKeyError):
        keys.begin(OWNER, key, ASKED)


@pytest.mark.parametrize("key", ["x" * 255, "!~", "'; DROP TABLE jobs; --"[1:].replace(" ", "_")])
def test_every_visible_sign_may_stand_in_a_key(keys: IdempotencyKeys, key: str) -> None:
    keys.finish(begun(keys, key), 202, {}, b"")
    assert isinstance(keys.begin(OWNER, key, ASKED), Replay)


def test_old_keys_are_swept_and_no_others(keys: IdempotencyKeys, clock: Clock) -> None:
    for number in range(5):
        keys.finish(begun(keys, f"old-{number}"), 202, {}, b"")
    clock.turn(timedelta(hours=23))
    keys.finish(begun(keys, "new"), 202, {}, b"")
    assert keys.sweep(clock() + timedelta(hours=1)) == 5
    assert isinstance(keys.begin(OWNER, "new", ASKED), Replay)
    assert keys.sweep(clock()) == 0
