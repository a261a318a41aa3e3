"""When a delivery is tried again, and when a webhook is given up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from random import SystemRandom

STEPS = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""How long after the attempt before it each attempt is made, as Standard Webhooks 1.0 suggests: three days in all."""
LONGEST_WAIT = timedelta(hours=24)
"""A receiver may ask for no longer pause than this."""
JITTER = 0.1
"""The part of a step by which it may become longer, so that what failed together does not come back together."""


def _chance() -> float:
    return SystemRandom().random()


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often, and after which pauses, a delivery is tried."""

    steps: tuple[timedelta, ...] = STEPS
    chance: Callable[[], float] = _chance
    """Returns a number in 0..1: how much of the jitter is added."""

    def next(self, attempts: int, now: datetime, retry_after: timedelta | None = None) -> datetime | None:
        """Return when to try again after ``attempts`` attempts, the last of which ended ``now``; None: give up.

        ``retry_after`` is what the receiver asked for: never sooner, and within a day.
        """
        if attempts >= len(self.steps):
            return None
        wait = self.steps[attempts] * (1 + JITTER * self.chance())
        return now + max(wait, min(retry_after or timedelta(0), LONGEST_WAIT))


def parse_retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Return how long a Retry-After header asks to wait, a day at most; None: it says nothing that can be read.

    It is a number of seconds or a date (RFC 9110 §10.2.3).
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the second one for years and zones that no integer of C holds
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return min(max(timedelta(0), moment - now), LONGEST_WAIT)
