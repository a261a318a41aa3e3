"""Progress that a caller can watch and a wish to stop that work can see."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

from facecraft.errors import CancelledError


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """One step of work: ``fraction`` (0..1) of the whole is done and ``stage`` is being worked on."""

    stage: str
    fraction: float
    message: str = ""


class Progress(Protocol):
    """Whoever wants to hear about progress. Called from worker threads; must be quick and must not raise."""

    def __call__(self, event: ProgressEvent, /) -> None: ...


def silent(event: ProgressEvent, /) -> None:
    """Hear nothing: the null form of :class:`Progress`."""


class CancelToken:
    """A wish to stop, set by one thread and seen by another between stages and tiles."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop at its next check."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked the work to stop."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise :class:`CancelledError` if somebody asked the work to stop."""
        if self._event.is_set():
            raise CancelledError
