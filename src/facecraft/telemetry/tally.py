"""`Tally`: what a studio has done since it was opened, counted where it is done.

Counting needs no monitoring package; whoever serves the numbers reads them here (:mod:`facecraft.telemetry.metrics`).
Every name that is counted by comes from this program (stages, models, states), so that their number is bounded
whatever callers send.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecraft.inference.pool.states import PoolEvent, PoolEventKind

if TYPE_CHECKING:
    from facecraft.pipelines.pipeline import StageTime

STAGE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the classes that times of stages are counted in: a crop takes milliseconds, an enlargement a minute."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """How long something took, over all times it was done."""

    counts: tuple[int, ...]
    """How often in each class of :data:`STAGE_SECONDS`; the last is for everything longer."""
    seconds: float
    """Altogether."""


class _Histogram:
    def __init__(self) -> None:
        self.counts = [0] * (len(STAGE_SECONDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(STAGE_SECONDS, seconds)] += 1
        self.seconds += seconds


@dataclass(frozen=True, slots=True)
class Totals:
    """A :class:`Tally` as it stood at one moment."""

    stages: Mapping[str, Distribution]
    """Times of the stages that did something, by their names; ``decode`` and ``encode`` are among them."""
    events: Mapping[tuple[str, PoolEventKind], int]
    """How often a network was loaded, failed to load, ran, was evicted or retired, by its key of the pool."""
    load_seconds: Mapping[str, float]
    """Time spent on loading a network, failures included."""
    run_seconds: Mapping[str, float]
    """Time for which a network was lent."""
    jobs: Mapping[tuple[str, str], int]
    """Jobs that ended in this process, by name and state."""


class Tally:
    """Counts runs, networks and jobs. Safe to use from several threads; quick, and never raises."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: defaultdict[str, _Histogram] = defaultdict(_Histogram)
        self._events: Counter[tuple[str, PoolEventKind]] = Counter()
        self._load_seconds: defaultdict[str, float] = defaultdict(float)
        self._run_seconds: defaultdict[str, float] = defaultdict(float)
        self._jobs: Counter[tuple[str, str]] = Counter()

    def ran(self, times: Iterable[StageTime]) -> None:
        """Count the stages of one finished run; a stage that was skipped took no time and is left out."""
        with self._lock:
            for each in times:
                if each.skipped is None:
                    self._stages[each.stage].add(each.milliseconds / 1000)

    def heard(self, event: PoolEvent, /) -> None:
        """Count what happened to a network: a :class:`facecraft.inference.pool.states.PoolObserver`."""
        with self._lock:
            self._events[event.key, event.kind] += 1
            match event.kind:
                case PoolEventKind.LOADED | PoolEventKind.FAILED:
                    self._load_seconds[event.key] += event.seconds
                case PoolEventKind.RAN:
                    self._run_seconds[event.key] += event.seconds
                case PoolEventKind.EVICTED | PoolEventKind.RETIRED:
                    pass

    def ended(self, name: str, state: str) -> None:
        """Count one job that has ended."""
        with self._lock:
            self._jobs[name, state] += 1

    def totals(self) -> Totals:
        """Return everything as it stands."""
        with self._lock:
            return Totals(
                stages={name: Distribution(tuple(h.counts), h.seconds) for name, h in self._stages.items()},
                events=dict(self._events),
                load_seconds=dict(self._load_seconds),
                run_seconds=dict(self._run_seconds),
                jobs=dict(self._jobs),
            )
