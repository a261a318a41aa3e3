"""When a delivery is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from facecraft.jobs.webhooks.schedule import LONGEST_WAIT, STEPS, Schedule, parse_retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXACT = Schedule(chance=lambda: 0.0)


def test_the_steps_are_those_of_standard_webhooks() -> None:
    waits = [EXACT.next(attempts, NOW) for attempts in range(11)]
    hours = [2, 5, 10, 14, 20, 24]
    seconds = [0, 5, 300, 1800, *(3600 * hour for hour in hours)]
    assert waits == [*(NOW + timedelta(seconds=wait) for wait in seconds), None]


def test_jitter_only_ever_adds_a_tenth() -> None:
    late = Schedule(chance=lambda: 1.0)
    assert late.next(2, NOW) == NOW + timedelta(minutes=5, seconds=30)
    for attempts, step in enumerate(STEPS):
        due = Schedule().next(attempts, NOW)
        assert due is not None
        assert step <= due - NOW <= step * 1.1


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("120", timedelta(seconds=120)),
        ("0", timedelta(0)),
        ("Thu, 01 Jan 2026 00:10:00 GMT", timedelta(minutes=10)),
        ("Wed, 31 Dec 2025 00:00:00 GMT", timedelta(0)),
        ("99999999999999999999999999", LONGEST_WAIT),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT),
        ("Fri, 31 Dec 9999 23:59:59 -2359", LONGEST_WAIT),
        ("Mon, 01 Jan 0001 00:00:00 +2359", timedelta(0)),
        ("1 Jan 99999999999999999999 00:00:00 GMT", None),
        ("1 Jan 2026 99999999999999999999:00:00 GMT", None),
        ("1 Jan 2026 00:00:00 +99999999999999999999", None),
        ("1 Jan 2026 00:00:00 +9999", None),
        ("1 Jan " + "9" * 5000 + " 00:00:00 GMT", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("\uff11\uff12", None),
        (None, None),
    ],
)
def test_retry_after_is_read(header: str | None, wait: timedelta | None) -> None:
    assert parse_retry_after(header, NOW) == wait


def test_a_receiver_may_ask_for_more_time_but_not_for_ever() -> None:
    assert EXACT.next(1, NOW, timedelta(minutes=2)) == NOW + timedelta(minutes=2)
    assert EXACT.next(3, NOW, timedelta(seconds=1)) == NOW + timedelta(minutes=30)
    assert EXACT.next(1, NOW, timedelta(days=400)) == NOW + LONGEST_WAIT
