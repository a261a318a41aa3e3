"""How far a job is, also between two stages: what its stages say, and how long such stages took before."""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

from facecraft.jobs.tasks import FacesTask, PipelineTask, Task, UnknownTask
from facecraft.progress import ProgressEvent

_UNKNOWN_SECONDS = 3.0
"""How long a stage is thought to take that never ran in this process."""
_NEWEST_WEIGHT = 0.3
_READING = 0.01
_SAVING = 0.04
"""The shares of an item that are left for reading its pictures, and for writing its files and keeping them."""
_REACH = 1.5
"""How far time alone carries towards the next mark: after the expected time 1 - exp(-1.5) = 78 % of the way."""
_NEARLY = 0.98
"""Time alone never carries all the way: what is told to be done is done."""
_SLOWEST = 100.0
"""Most that an item may seem to be slower, or quicker, than those before it."""

QUIET_SECONDS = 0.5
"""Work that is over by then tells nothing but its end: writing would cost more than anybody learns."""
STAGE_SECONDS = 0.2
"""Shortest time between two reports when the stage has changed."""
REPORT_SECONDS = 0.5
"""Shortest time between two reports of one stage."""
_SMALLEST_STEP = 0.002


class Pace:
    """Seconds that each stage takes, learned in this process. Safe to use from several threads.

    Tasks are known by their labels, so that this grows with what Facecraft can do and not with what callers send.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[tuple[str, str], float] = {}

    def known(self, task: str, stage: str) -> float | None:
        """Return how long ``stage`` of ``task`` took lately; None when it never ran in this process."""
        with self._lock:
            return self._seconds.get((task, stage))

    def learn(self, task: str, stage: str, seconds: float) -> None:
        """Remember how long it took this time: a moving average."""
        with self._lock:
            before = self._seconds.get((task, stage), seconds)
            self._seconds[task, stage] = before + _NEWEST_WEIGHT * (seconds - before)


class Tracker:
    """How far one job is: hears the stages in the working thread, tells the pulse how things stand.

    The fraction never falls, and between two events it moves towards the next mark, where the stage ends, without
    reaching it. How fast, is what such stages took before, and how much slower or quicker the stages of this very item were
    than that: a photo of fifty megapixels takes its time in each of them. Reports get rarer the longer a job takes, so that
    their number is bounded: some hundred in an hour.
    """

    def __init__(
        self,
        task: Task | UnknownTask,
        total: int,
        pace: Pace,
        *,
        fraction: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``fraction`` is what was told of the job before."""
        self._name = task.label  # the names that callers choose are without number
        self._reads = isinstance(task, PipelineTask)  # its stages are told; other work is one stage
        self._first = "decode" if self._reads else task.name if isinstance(task, FacesTask) else task.label
        self._marks = marks_of(task)
        self._total = max(1, total)
        self._pace = pace
        self._clock = clock
        self._lock = threading.Lock()
        self._base = 0.0  # where the item under way began, as a fraction of the job
        self._stage: str | None = None
        self._stage_began = self._anchored = self._born = self._told_at = clock()
        self._stage_from = self._anchor = 0.0  # fractions of the item
        self._spent = self._foreseen = 0.0  # seconds of the stages of this item that are over
        self._told = fraction
        self._told_stage: str | None = None

    def begin(self, done: int) -> None:
        """Hear that the next item begins, after ``done`` of them."""
        with self._lock:
            self._base = done / self._total
            self._stage = self._first
            self._spent = self._foreseen = 0.0
            self._anchor = self._stage_from = 0.0 if self._reads else _READING
            self._anchored = self._stage_began = self._clock()

    def __call__(self, event: ProgressEvent, /) -> None:
        """Hear of a stage; a :class:`facecraft.progress.Progress`."""
        with self._lock:
            now = self._clock()
            fraction = _of_item(min(max(event.fraction, 0.0), 1.0))
            if event.stage != self._stage:
                self._learn(now)
                self._stage, self._stage_began, self._stage_from = event.stage, now, fraction
            self._anchor, self._anchored = max(self._anchor, fraction), now

    def end(self, done: int) -> float:
        """Hear that an item has ended, ``done`` of them now; return the fraction of the job."""
        with self._lock:
            self._learn(self._clock())
            self._stage = None
            self._told = max(self._told, done / self._total)
            self._base, self._anchor, self._anchored = done / self._total, 0.0, self._clock()
            return self._told

    def due(self) -> tuple[float, str | None] | None:
        """Return the fraction and the stage when it is time to tell them; None otherwise."""
        with self._lock:
            now = self._clock()
            gap, age = now - self._told_at, now - self._born
            if self._stage is None or age < QUIET_SECONDS:
                return None
            fraction = max(self._told, self._estimate(now))
            is_new = self._stage != self._told_stage and gap >= max(STAGE_SECONDS, age / 600)
            has_moved = fraction - self._told >= _SMALLEST_STEP and gap >= max(REPORT_SECONDS, age / 120)
            if not (is_new or has_moved):
                return None
            self._told, self._told_stage, self._told_at = fraction, self._stage, now
            return fraction, self._stage

    def _learn(self, now: float) -> None:
        if self._stage is None:
            return
        known, spent = self._pace.known(self._name, self._stage), now - self._stage_began
        if known is not None:
            self._spent, self._foreseen = self._spent + spent, self._foreseen + known
        self._pace.learn(self._name, self._stage, spent)

    def _expected(self) -> float:
        """Return how long the stage will probably take."""
        known = self._pace.known(self._name, self._stage or "")
        if known is None:
            return _UNKNOWN_SECONDS
        if not (self._foreseen and self._spent):
            return known
        return known * min(_SLOWEST, max(1 / _SLOWEST, self._spent / self._foreseen))

    def _estimate(self, now: float) -> float:
        place = bisect_right(self._marks, self._anchor + 1e-9)
        mark = self._marks[place] if place < len(self._marks) else 1.0
        left = mark - self._anchor
        whole = max(mark - self._stage_from, 1e-9)
        seconds = max(self._expected() * left / whole, 1e-3)
        way = _NEARLY * (1.0 - math.exp(-_REACH * (now - self._anchored) / seconds))
        return self._base + (self._anchor + left * way) / self._total


def marks_of(task: Task | UnknownTask) -> tuple[float, ...]:
    """Return the fractions of one item at which the stages of ``task`` end, rising; the last is 1."""
    weights = [step.definition.weight for step in task.pipeline.steps] if isinstance(task, PipelineTask) else []
    total = sum(weights) or 1.0
    return (_READING, *(_of_item(done / total) for done in accumulate(weights or [1.0])), 1.0)


def _of_item(done: float) -> float:
    return _READING + done * (1.0 - _READING - _SAVING)
