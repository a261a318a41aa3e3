"""What the pool says of itself: states for status pages, events for metrics."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class LoadState(StrEnum):
    """Whether a network is in memory."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    LOADED = "loaded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ResourceState:
    """What is known of one key of the pool, for status pages."""

    key: str
    state: LoadState
    error: str | None
    """Why the last load failed."""
    size_bytes: int
    """Estimated memory; 0 when it is not loaded."""
    in_use: int
    """Leases at this moment."""
    runs: int
    """Leases ever given."""
    load_ms: float | None
    """How long the last load took."""
    idle_seconds: float | None
    """How long ago it was last used; None: never."""


class PoolEventKind(StrEnum):
    """What happened to a network."""

    LOADED = "loaded"
    FAILED = "failed"
    RAN = "ran"
    EVICTED = "evicted"
    """Closed to make room for others."""
    RETIRED = "retired"
    """Closed because nobody used it."""


@dataclass(frozen=True, slots=True)
class PoolEvent:
    """One thing that happened; ``seconds`` it took (load and run)."""

    kind: PoolEventKind
    key: str
    seconds: float = 0.0


class PoolObserver(Protocol):
    """Whoever wants to count what the pool does. Called from any thread; must be quick and must not raise."""

    def __call__(self, event: PoolEvent, /) -> None: ...
