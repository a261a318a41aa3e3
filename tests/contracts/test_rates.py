"""What rate limits promise, counted in memory and in a real Redis."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from facecraft.accounts.rates import Counts, Rates
from facecraft.errors import ConfigurationError
from services.redis_server import RedisServer, run_redis

Open = Callable[[], Counts]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with run_redis() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def open_counts(request: pytest.FixtureRequest) -> Open:
    """Open counts: each time new ones; those of Redis count together."""
    if request.param == "memory":
        return Counts
    url = request.getfixturevalue("redis").url
    return lambda: Counts(url)


def who() -> str:
    return f"address:{uuid4().hex}"


def test_calls_are_counted_down_and_then_refused(open_counts: Open) -> None:
    rates, caller = Rates("3/minute", open_counts()), who()
    assert rates.is_on
    windows = [rates.hit(caller) for _ in range(5)]
    assert [window.allowed for window in windows] == [True, True, True, False, False]
    assert [window.remaining for window in windows] == [2, 1, 0, 0, 0]
    assert {window.limit for window in windows} == {3}
    assert all(0 < window.reset <= 60 for window in windows)
    assert rates.hit(who()).allowed


def test_the_window_moves(open_counts: Open) -> None:
    import time

    rates, caller = Rates("2 per 1 second", open_counts()), who()
    assert [rates.hit(caller).allowed for _ in range(3)] == [True, True, False]
    deadline = time.monotonic() + 10
    while not rates.hit(caller).allowed:
        assert time.monotonic() < deadline, "the window did not move"
        time.sleep(0.05)


def test_a_call_that_one_limit_refuses_takes_nothing_from_the_other(open_counts: Open) -> None:
    counts, caller = open_counts(), who()
    both = Rates("2/minute;5/hour", counts)
    windows = [both.hit(caller) for _ in range(6)]
    assert [window.allowed for window in windows] == [True, True, False, False, False, False]
    assert windows[1].limit == windows[2].limit == 2  # the tightest is told
    assert Rates("5/hour", counts).hit(caller).remaining == 2  # two were counted, this is the third


def test_many_at_once_are_counted_exactly(open_counts: Open) -> None:
    rates, caller = Rates("20/minute", open_counts()), who()
    with ThreadPoolExecutor(8) as threads:
        allowed = list(threads.map(lambda _: rates.hit(caller).allowed, range(60)))
    assert sum(allowed) == 20


def test_an_empty_limit_is_off() -> None:
    assert not Rates("", Counts()).is_on
    assert not Rates("  ", Counts()).is_on


def test_processes_count_together_in_redis(redis: RedisServer) -> None:
    first, second, caller = Rates("3/minute", Counts(redis.url)), Rates("3/minute", Counts(redis.url)), who()
    assert [rates.hit(caller).allowed for rates in (first, second, first, second, first)] == [True] * 3 + [False] * 2


def test_while_redis_is_away_each_process_counts_alone(caplog: pytest.LogCaptureFixture) -> None:
    with run_redis() as server:
        counts = Counts(server.url)
        rates, caller = Rates("2/minute", counts), who()
        assert rates.hit(caller).allowed
        server.stop()
        with caplog.at_level(logging.WARNING, "facecraft.accounts"):
            windows = [rates.hit(caller) for _ in range(4)]
        assert [window.allowed for window in windows] == [True, True, False, False]
        assert len([line for line in caplog.messages if "Redis cannot be reached" in line]) == 1
        server.start()
        counts._away_until = 0.0
        fresh = who()
        assert rates.hit(fresh).remaining == 1
        assert Rates("2/minute", Counts(server.url)).hit(fresh).remaining == 0  # in Redis again


def test_a_redis_that_was_never_there_does_not_stop_the_server(caplog: pytest.LogCaptureFixture) -> None:
    rates = Rates("1/minute", Counts("redis://:very-secret@127.0.0.1:1/0"))
    assert [rates.hit("x").allowed for _ in range(2)] == [True, False]
    assert "very-secret" not in caplog.text


def test_names_of_those_who_left_are_dropped() -> None:
    counts = Counts()
    rates = Rates("1 per 1 second", counts)
    for index in range(200):
        rates.hit(f"address:{index}")
    for events in counts._memory.events.values():
        events.clear()
    counts._counted = 10_000
    rates.hit("address:last")
    assert set(counts._memory.events) == {name for name in counts._memory.events if "last" in name}


@pytest.mark.parametrize("url", ["memcached://localhost", "http://localhost", "localhost"])
def test_only_redis_counts_together(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Counts(url)


def test_a_limit_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        Rates("often", Counts())
