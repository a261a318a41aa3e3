"""Places that requests and jobs share: never more than there are, and the line is kept."""

from __future__ import annotations

import threading
import time

import pytest

from facecraft.jobs.capacity import Capacity


def test_never_more_than_the_places_are_taken() -> None:
    capacity, lock = Capacity(2), threading.Lock()
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with capacity.place():
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (most, capacity.free) == (2, 2)


def test_whoever_has_waited_longest_is_next_even_if_the_last_one_wants_it_back() -> None:
    capacity = Capacity(1)
    order: list[str] = []
    capacity.enter()

    def wait(name: str) -> None:
        with capacity.place():
            order.append(name)

    threads = []
    for name in ("first", "second"):
        thread = threading.Thread(target=wait, args=(name,))
        thread.start()
        threads.append(thread)
        while len(capacity._line) < len(threads):
            time.sleep(0.001)
    capacity.leave()
    with capacity.place():
        order.append("again")
    for thread in threads:
        thread.join(10)
    assert order == ["first", "second", "again"]


def test_a_place_is_given_back_when_the_work_breaks() -> None:
    capacity = Capacity(1)
    with pytest.raises(ValueError, match="bad"), capacity.place():
        int("bad")
    assert capacity.free == 1
