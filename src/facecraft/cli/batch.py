"""Many pictures at once: every core busy, one bad file stops nothing, memory bounded by what is in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from facecraft.cli.console import Counter, counting
from facecraft.cli.inputs import Source
from facecraft.progress import CancelToken

ReportT = TypeVar("ReportT")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[ReportT]):
    """What became of one picture: a report, an error, or neither where there was nothing to do."""

    source: Source
    report: ReportT | None = None
    error: BaseException | None = None


def work_through(
    sources: Sequence[Source],
    work: Callable[[Source], ReportT | None],
    *,
    jobs: int,
    cancel: CancelToken,
    label: str,
) -> Iterator[Outcome[ReportT]]:
    """Yield what became of each of ``sources``, in their order; at most ``jobs`` are in flight.

    A waiting picture holds its path only, so memory does not grow with their number. When the caller leaves the loop
    or is interrupted, ``cancel`` is set, nothing new is begun, and what runs stops at its next check.
    """
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(jobs, thread_name_prefix="picture"))
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        tick = stack.enter_context(counting(label, len(sources))) if len(sources) > 1 else None
        futures = [pool.submit(work, source) for source in sources]
        if tick is not None:
            for future, source in zip(futures, sources, strict=True):
                future.add_done_callback(partial(_count, tick, source.name))
        finished = False
        try:
            for source, future in zip(sources, futures, strict=True):
                error = future.exception()
                yield Outcome(source, error=error) if error else Outcome(source, report=future.result())
            finished = True
        finally:
            if not finished:
                cancel.cancel()


def _count(tick: Counter, name: str, _done: Future[ReportT | None]) -> None:
    tick(name)
