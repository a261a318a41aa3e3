"""Hearing at once that the process is to stop: streams without an end would otherwise hold it up."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def when_told_to_stop(*calls: Callable[[], None]) -> None:
    """Do ``calls`` in the event loop that runs, when the process is told to stop; whoever heard the signal before still does.

    Call it in the main thread after the server has taken the signals, which gives them back itself. In any other
    thread nothing is heard, as the server there hears nothing either.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()

    def do() -> None:
        for call in calls:
            loop.call_soon_threadsafe(call)

    for number in _SIGNALS:
        before = signal.getsignal(number)
        if callable(before):
            signal.signal(number, _first(do, before))


def _first(
    do: Callable[[], object], then: Callable[[int, FrameType | None], object]
) -> Callable[[int, FrameType | None], None]:
    def heard(number: int, frame: FrameType | None) -> None:
        do()
        then(number, frame)

    return heard
