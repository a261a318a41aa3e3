"""Places, the line before them, time limits and callers who leave."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from facecraft.api.workbench import Workbench
from facecraft.errors import BusyError, CancelledError, DeadlineError
from facecraft.inference.devices import cpu_count


def test_no_more_than_places_work_at_once() -> None:
    async def scene() -> int:
        bench = Workbench(places=2, queue=10, seconds=30)
        seen: list[int] = []
        gate = threading.Barrier(2, timeout=10)

        def work() -> None:
            seen.append(bench.working)
            gate.wait()

        with bench.admit() as ticket:
            await asyncio.gather(*(bench.run(work, ticket) for _ in range(6)))
        bench.close()
        return max(seen)

    assert asyncio.run(scene()) == 2


def test_beyond_the_line_requests_are_refused_and_places_come_back() -> None:
    async def scene() -> None:
        bench = Workbench(places=1, queue=1, seconds=30)
        with bench.admit(), bench.admit(), pytest.raises(BusyError), bench.admit():
            pass
        assert bench.inside == 0
        with bench.admit():
            assert bench.inside == 1
        bench.close()

    asyncio.run(scene())


def test_time_runs_out_while_work_goes_on_and_the_work_is_told() -> None:
    async def scene() -> None:
        bench = Workbench(places=1, queue=0, seconds=0.05)
        told = threading.Event()
        with bench.admit() as ticket:

            def work() -> None:
                for _ in range(1000):
                    if ticket.cancel.cancelled:
                        told.set()
                        return
                    time.sleep(0.01)

            with pytest.raises(DeadlineError):
                await bench.run(work, ticket)
        assert await asyncio.to_thread(told.wait, 10)
        bench.close()

    asyncio.run(scene())


def test_waiting_work_of_a_stopped_request_never_runs() -> None:
    async def scene() -> None:
        bench = Workbench(places=1, queue=5, seconds=30)
        release = threading.Event()
        ran: list[str] = []
        with bench.admit() as first, bench.admit() as second:
            busy = asyncio.create_task(bench.run(release.wait, first))
            waiting = asyncio.create_task(bench.run(lambda: ran.append("second"), second))
            await asyncio.sleep(0.05)
            second.stop(CancelledError("The client is gone."))
            with pytest.raises(CancelledError):
                await waiting
            release.set()
            await busy
        bench.close()
        assert ran == []

    asyncio.run(scene())


def test_closing_cancels_what_is_under_way() -> None:
    async def scene() -> None:
        bench = Workbench(places=1, queue=0, seconds=30)
        started = threading.Event()
        with bench.admit() as ticket:

            def work() -> None:
                started.set()
                while not ticket.cancel.cancelled:
                    time.sleep(0.005)

            task = asyncio.create_task(bench.run(work, ticket))
            await asyncio.to_thread(started.wait, 10)
            await asyncio.to_thread(bench.close)
            with pytest.raises(CancelledError):
                await task

    asyncio.run(scene())


def test_errors_of_the_work_reach_the_caller() -> None:
    async def scene() -> None:
        bench = Workbench(places=1, queue=0, seconds=30)
        with bench.admit() as ticket, pytest.raises(ValueError, match="bad"):
            await bench.run(lambda: int("bad"), ticket)
        bench.close()

    asyncio.run(scene())


def test_the_server_has_no_more_places_than_cores_and_no_more_than_allowed(open_door: Callable[..., object]) -> None:
    for allowed in (1, 256):
        places = open_door(max_concurrent_jobs=allowed).client.get("/status").json()["queue"]["places"]
        assert places == min(allowed, cpu_count())
