"""How often somebody may call: a moving window, counted in memory or in Redis."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass

import limits
from limits.errors import ConfigurationError as LimitsConfigurationError
from limits.errors import StorageError as LimitsStorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter

from facecraft.errors import ConfigurationError

_TIMEOUT_SECONDS = 0.5
_RETRY_SECONDS = 10.0
"""How long a Redis that failed is left alone."""
_TIDY_AFTER = 10_000
log = logging.getLogger("facecraft.accounts")


@dataclass(frozen=True, slots=True)
class Window:
    """What is left of a limit."""

    allowed: bool
    limit: int
    remaining: int
    reset: int
    """Seconds until there is room again, at least 1 when the call was refused."""


class Counts:
    """Where calls are counted: in Redis, so that all processes count together, or in the memory of this process.

    While Redis is away this process counts alone: neither does everybody get in without limit, nor nobody at all.
    """

    def __init__(self, url: str | None = None) -> None:
        """Count in the Redis of ``url``, which is not reached for yet. Raises ConfigurationError."""
        self.shared = url is not None
        self._memory = MemoryStorage()
        self._alone = MovingWindowRateLimiter(self._memory)
        self._together = None if url is None else MovingWindowRateLimiter(_redis(url))
        self._lock = threading.Lock()
        self._away_until = 0.0
        self._counted = 0

    def hit(self, items: tuple[limits.RateLimitItem, ...], who: str) -> Window:
        """Count one call of ``who`` when every one of ``items`` has room for it, and say what is left."""
        if self._together is not None and time.monotonic() >= self._away_until:
            try:
                return _hit(self._together, items, who)
            except LimitsStorageError as error:
                self._away_until = time.monotonic() + _RETRY_SECONDS
                log.warning("requests are counted in this process alone: Redis cannot be reached: %s", error)
        with self._lock:
            self._tidy()
            return _hit(self._alone, items, who)

    def _tidy(self) -> None:
        """Drop the names of those who have not called for long: the library keeps an empty list for each."""
        self._counted += 1
        if self._counted >= _TIDY_AFTER:
            self._counted = 0
            for name in [name for name, calls in list(self._memory.events.items()) if not calls]:
                self._memory.clear(name)


class Rates:
    """One limit, such as ``120/minute;2000/hour``."""

    def __init__(self, text: str, counts: Counts) -> None:
        """Raises ConfigurationError for a limit that cannot be read; an empty one allows everything."""
        try:
            self._items = tuple(limits.parse_many(text)) if text.strip() else ()
        except ValueError as error:
            raise ConfigurationError(f"{text!r} is no rate limit.", hint="Write it as 120/minute;2000/hour.") from error
        self._counts = counts

    @property
    def is_on(self) -> bool:
        """Whether anything is limited."""
        return bool(self._items)

    @property
    def waits(self) -> bool:
        """Whether counting asks another machine."""
        return self._counts.shared

    def hit(self, who: str) -> Window:
        """Count one call of ``who``, unless it is one too many. Only where :attr:`is_on`."""
        return self._counts.hit(self._items, who)


def _hit(limiter: MovingWindowRateLimiter, items: tuple[limits.RateLimitItem, ...], who: str) -> Window:
    # First asked, then counted: a call that one limit refuses takes nothing from the others.
    allowed = all(limiter.test(item, who) for item in items) and all(limiter.hit(item, who) for item in items)
    moment = time.time()
    seen = []
    for item in items:
        stats = limiter.get_window_stats(item, who)
        seen.append((stats.remaining, item.amount, max(0, math.ceil(stats.reset_time - moment))))
    # The tightest: the one with the least left, and of several the one that is full for longest.
    remaining, limit, reset = min(seen, key=lambda one: (one[0], -one[2]))
    return Window(allowed, limit, remaining if allowed else 0, reset if allowed else max(1, reset))


def _redis(url: str) -> RedisStorage:
    if not url.startswith(("redis://", "rediss://", "redis+unix://")):
        raise ConfigurationError("Requests are counted in Redis only.", hint="Use redis://host:6379/1.")
    try:
        return RedisStorage(
            url, wrap_exceptions=True, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
        )
    except LimitsConfigurationError as error:
        raise ConfigurationError(
            "Counting requests in Redis needs its client.", hint="pip install 'facecraft[scale]'", detail=str(error)
        ) from error
