"""Which job a thread works on, for whoever writes the log: :mod:`facecraft.telemetry.log` adds it to every line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_JOB: ContextVar[str | None] = ContextVar("facecraft_job", default=None)


@contextmanager
def working_on(job_id: str) -> Iterator[None]:
    """Say that this thread works on a job until the block ends."""
    before = _JOB.set(job_id)
    try:
        yield
    finally:
        _JOB.reset(before)


def current_job() -> str | None:
    """Return the id of the job that this thread works on, None outside of jobs."""
    return _JOB.get()
