"""`SessionPool`: who has what, who waits for what, and what must go."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from facecraft.errors import FacecraftError, InferenceError
from facecraft.inference.pool.handles import PooledResource, PooledSession, ResourceT
from facecraft.inference.pool.states import LoadState, PoolEvent, PoolEventKind, PoolObserver, ResourceState
from facecraft.inference.session import Session

_SWEEPS_PER_IDLE_TIME = 4
_LONGEST_WAIT = 30.0


def _nobody(event: PoolEvent, /) -> None:
    """Observe nothing."""


@dataclass(slots=True, eq=False)
class _Entry:
    key: str
    value: Any = None
    loading: Future[Any] | None = None
    waiting: int = 0
    leases: int = 0
    runs: int = 0
    size: int = 0
    load_ms: float | None = None
    last_used: float | None = None
    error: str | None = None

    @property
    def state(self) -> LoadState:
        if self.loading is not None:
            return LoadState.LOADING
        if self.value is not None:
            return LoadState.LOADED
        return LoadState.FAILED if self.error is not None else LoadState.UNLOADED

    def empty(self) -> Any:
        value, self.value, self.size = self.value, None, 0
        return value


class SessionPool:
    """Networks by key, loaded on first use and lent for the time of a run. Safe to use from any number of threads.

    ``budget_bytes`` is how much all loaded networks may take together: beyond it the least recently used ones are
    closed, never one in use. One network that is larger than the budget alone is kept while it is the one being used
    (see :attr:`over_budget`). A network unused for ``idle_seconds`` is closed by :meth:`sweep`, which a thread of the
    pool calls; 0 keeps networks loaded. ``clock`` counts seconds and ``observe`` hears of every event.

    However many threads ask at once for a network, it is loaded once; a failure reaches all who waited and the next
    one to ask tries again.
    """

    def __init__(
        self,
        *,
        budget_bytes: int | None = None,
        idle_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        observe: PoolObserver = _nobody,
    ) -> None:
        self._budget = budget_bytes
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._observe = observe
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._closed = False
        self._stop = threading.Event()
        self._sweeper: threading.Thread | None = None

    def session(self, key: str, load: Callable[[], Session]) -> PooledSession:
        """Return a session that ``load`` makes when it is first needed, and again after it has been closed."""
        return PooledSession(self.resource(key, load))

    def resource(self, key: str, load: Callable[[], ResourceT]) -> PooledResource[ResourceT]:
        """Return a handle for anything else that is loaded and closed. A key must always mean the same thing."""
        return PooledResource(self, key, load)

    @property
    def loaded_bytes(self) -> int:
        """Estimated memory of all loaded networks."""
        with self._lock:
            return self._total()

    @property
    def over_budget(self) -> bool:
        """Whether what is in use takes more than the budget."""
        return self._budget is not None and self.loaded_bytes > self._budget

    def states(self) -> Mapping[str, ResourceState]:
        """What is loaded, loading or failed, by key."""
        with self._lock:
            now = self._clock()
            return {
                entry.key: ResourceState(
                    key=entry.key,
                    state=entry.state,
                    error=entry.error,
                    size_bytes=entry.size,
                    in_use=entry.leases,
                    runs=entry.runs,
                    load_ms=entry.load_ms,
                    idle_seconds=None if entry.last_used is None else max(0.0, now - entry.last_used),
                )
                for entry in self._entries.values()
            }

    def sweep(self) -> None:
        """Close what nobody has used for ``idle_seconds``."""
        if self._idle_seconds <= 0:
            return
        with self._lock:
            limit = self._clock() - self._idle_seconds
            old = [entry for entry in self._idle() if entry.last_used is not None and entry.last_used <= limit]
            closing = [(entry.key, entry.empty()) for entry in old]
        self._close(closing, PoolEventKind.RETIRED)

    def close(self) -> None:
        """Close everything; what is in use is closed as soon as it is given back. May be called again."""
        with self._lock:
            self._closed = True
            closing = [(entry.key, entry.empty()) for entry in self._idle()]
            sweeper, self._sweeper = self._sweeper, None
        self._stop.set()
        self._close(closing, PoolEventKind.RETIRED)
        if sweeper is not None and sweeper is not threading.current_thread():
            sweeper.join()

    def __enter__(self) -> SessionPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- leases, for the handles below

    def acquire(self, key: str, load: Callable[[], Any]) -> Any:
        """Lend what ``key`` stands for, loading it first where needed; :meth:`release` gives it back."""
        with self._lock:
            if self._closed:
                raise InferenceError("The pool of networks has been closed.")
            entry = self._entries.setdefault(key, _Entry(key))
            if entry.value is not None:
                self._lend(entry, 1)
                return entry.value
            loading = entry.loading
            if loading is None:
                loading, mine = Future[Any](), True
                entry.loading = loading
            else:
                entry.waiting += 1
                mine = False
        if not mine:
            # The loader has taken the lease in our name.
            return loading.result()
        return self._load(entry, loading, load)

    def release(self, key: str, seconds: float) -> None:
        """Take back what :meth:`acquire` lent; it ran for ``seconds``."""
        with self._lock:
            entry = self._entries[key]
            entry.leases -= 1
            entry.last_used = self._clock()
            entry.size = entry.value.size_bytes
            closing = self._surplus(entry)
            gone = [(key, entry.empty())] if self._closed and entry.leases == 0 else []
        self._observe(PoolEvent(PoolEventKind.RAN, key, seconds))
        self._close(closing, PoolEventKind.EVICTED)
        self._close(gone, PoolEventKind.RETIRED)

    def _load(self, entry: _Entry, loading: Future[Any], load: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        value: Any = None
        try:
            value = load()
        finally:
            # Whatever happened, nobody may be left waiting.
            seconds = time.perf_counter() - start
            if value is None:
                self._failed(entry, loading, seconds)
        with self._lock:
            entry.value, entry.loading, entry.error = value, None, None
            entry.size, entry.load_ms = value.size_bytes, seconds * 1000
            self._lend(entry, 1 + entry.waiting)
            entry.waiting = 0
            closing = self._surplus(entry)
            self._start_sweeper()
        loading.set_result(value)
        self._observe(PoolEvent(PoolEventKind.LOADED, entry.key, seconds))
        self._close(closing, PoolEventKind.EVICTED)
        return value

    def _failed(self, entry: _Entry, loading: Future[Any], seconds: float) -> None:
        error = sys.exception() or InferenceError(f"{entry.key} gave nothing when it was loaded.")
        with self._lock:
            entry.loading, entry.waiting = None, 0
            entry.load_ms = seconds * 1000
            entry.error = error.message if isinstance(error, FacecraftError) else f"{type(error).__name__}: {error}"
        loading.set_exception(error)
        self._observe(PoolEvent(PoolEventKind.FAILED, entry.key, seconds))

    def _lend(self, entry: _Entry, leases: int) -> None:
        entry.leases += leases
        entry.runs += leases
        entry.last_used = self._clock()

    def _total(self) -> int:
        return sum(entry.size for entry in self._entries.values())

    def _idle(self) -> list[_Entry]:
        """What is loaded and not in use, least recently used first."""
        idle = [entry for entry in self._entries.values() if entry.value is not None and entry.leases == 0]
        return sorted(idle, key=lambda entry: entry.last_used or 0.0)

    def _surplus(self, keep: _Entry) -> list[tuple[str, Any]]:
        """Take out what must be closed for the budget; ``keep`` has just been used."""
        surplus: list[tuple[str, Any]] = []
        if self._budget is None:
            return surplus
        for entry in self._idle():
            if self._total() <= self._budget:
                break
            if entry is not keep:
                surplus.append((entry.key, entry.empty()))
        return surplus

    def _close(self, closing: list[tuple[str, Any]], why: PoolEventKind) -> None:
        """Close outside the lock: it may take long."""
        for key, value in closing:
            value.close()
            self._observe(PoolEvent(why, key))

    def _start_sweeper(self) -> None:
        if self._idle_seconds > 0 and self._sweeper is None and not self._closed:
            self._sweeper = threading.Thread(target=self._sweep_now_and_then, name="facecraft-pool", daemon=True)
            self._sweeper.start()

    def _sweep_now_and_then(self) -> None:
        while not self._stop.wait(min(self._idle_seconds / _SWEEPS_PER_IDLE_TIME, _LONGEST_WAIT)):
            self.sweep()
