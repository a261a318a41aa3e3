"""When a worker counts as deaf, and what is done about it."""

from __future__ import annotations

import pytest

from facecraft.errors import StorageError
from facecraft.jobs.hearing import LOST_AFTER_TIMES, Hearing

PATIENCE = 10.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Ears:
    """Writes down what was done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.away = False

    def say(self, *, deaf: bool) -> None:
        if self.away:
            raise StorageError
        self.done.append("deaf" if deaf else "hears")

    def reconnect(self) -> None:
        self.done.append("reconnect")

    def give_up(self) -> None:
        self.done.append("give up")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def hearing(clock: Clock, ears: Ears) -> Hearing:
    return Hearing(("gpu", "celery"), 2, ears, patience=PATIENCE, clock=clock)


def listen(hearing: Hearing, clock: Clock, seconds: float, *waiting: str) -> None:
    """Look once a second for so long."""
    end = clock.now + seconds
    while clock.now <= end:
        hearing.listen(waiting)
        clock.now += 1


def test_it_connects_anew_and_then_gives_up_once_each(hearing: Hearing, clock: Clock, ears: Ears) -> None:
    listen(hearing, clock, PATIENCE - 1, "gpu")
    assert ears.done == []
    listen(hearing, clock, 1, "gpu")
    assert ears.done == ["reconnect", "deaf"]
    listen(hearing, clock, PATIENCE * (LOST_AFTER_TIMES + 2), "gpu")
    assert ears.done == ["reconnect", "deaf", "give up"]


def test_a_message_shows_that_it_hears_again(hearing: Hearing, clock: Clock, ears: Ears) -> None:
    listen(hearing, clock, PATIENCE, "gpu")
    with hearing.message():
        hearing.listen(("gpu",))
    assert ears.done == ["reconnect", "deaf", "hears"]
    listen(hearing, clock, PATIENCE - 1, "gpu")
    assert ears.done == ["reconnect", "deaf", "hears"]


@pytest.mark.parametrize("waiting", [(), ("render",)])
def test_nothing_that_it_could_take_makes_nobody_deaf(
    waiting: tuple[str, ...], hearing: Hearing, clock: Clock, ears: Ears
) -> None:
    listen(hearing, clock, PATIENCE - 1, "gpu")
    listen(hearing, clock, 1, *waiting)  # such as while the broker is away
    listen(hearing, clock, PATIENCE - 1, "gpu")
    assert ears.done == []


def test_a_worker_without_a_free_place_is_not_deaf(hearing: Hearing, clock: Clock, ears: Ears) -> None:
    with hearing.message():
        with hearing.message():
            listen(hearing, clock, PATIENCE * 5, "gpu")
            assert ears.done == []
        listen(hearing, clock, PATIENCE, "gpu")
        assert ears.done == ["reconnect", "deaf"]  # one place is free


def test_what_could_not_be_said_is_said_later(hearing: Hearing, clock: Clock, ears: Ears) -> None:
    listen(hearing, clock, PATIENCE - 1, "gpu")
    ears.away = True
    with pytest.raises(StorageError):
        listen(hearing, clock, 1, "gpu")
    ears.away = False
    listen(hearing, clock, 1, "gpu")
    assert ears.done == ["reconnect", "deaf"]
