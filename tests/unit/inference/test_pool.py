# ruff: noqa: S311
from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from facecraft.errors import InferenceError, ModelLoadError
from facecraft.inference.pool import LoadState, PoolEvent, PoolEventKind, SessionPool
from facecraft.inference.session import Session, Tensor, TensorSpec
from facecraft.testing import FakeSession

X = {"x": np.ones(2, np.float32)}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Loader:
    """Makes fake sessions that multiply by ``factor``, and keeps them."""

    def __init__(self, factor: float = 1.0, size: int = 10) -> None:
        self.factor, self.size = factor, size
        self.made: list[FakeSession] = []
        self.before: Callable[[], None] = lambda: None
        self.during: Callable[[], None] = lambda: None

    def __call__(self) -> Session:
        self.before()
        spec = TensorSpec("x", (2,), np.dtype("float32"))

        def work(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
            self.during()
            return {"y": inputs["x"] * np.float32(self.factor)}

        session = FakeSession((spec,), (TensorSpec("y", (2,), np.dtype("float32")),), work, size_bytes=self.size)
        self.made.append(session)
        return session

    @property
    def open(self) -> int:
        return sum(not session.closed for session in self.made)


def failing() -> Session:
    raise ModelLoadError("The file is damaged.")


def test_nothing_is_loaded_before_it_is_needed() -> None:
    load = Loader(3)
    with SessionPool() as pool:
        session = pool.session("a", load)
        assert (load.made, session.size_bytes) == ([], 0)
        assert session.run(X)["y"].tolist() == [3, 3]
        assert session.inputs[0].name == "x"
        assert session.run(X)["y"].tolist() == [3, 3]
        assert len(load.made) == 1
        assert session.size_bytes == 10
    assert load.open == 0


def test_however_many_ask_at_once_it_is_loaded_once() -> None:
    load = Loader()
    everybody = threading.Barrier(12)
    may_load = threading.Event()
    loading = threading.Event()

    def before() -> None:
        loading.set()
        may_load.wait(10)

    load.before = before

    with SessionPool() as pool, ThreadPoolExecutor(12) as threads:

        def work(_: int) -> list[float]:
            everybody.wait(10)
            return pool.session("a", load).run(X)["y"].tolist()

        done = [threads.submit(work, number) for number in range(12)]
        assert loading.wait(10)
        assert pool.states()["a"].state is LoadState.LOADING
        may_load.set()
        assert [each.result() for each in done] == [[1, 1]] * 12
        assert len(load.made) == 1
        assert pool.states()["a"].runs == 12
        assert pool.states()["a"].in_use == 0


def test_a_failed_load_reaches_all_who_wait_and_is_tried_again() -> None:
    load = Loader(2)
    may_fail = threading.Event()
    fails = [True]

    def before() -> None:
        if fails[0]:
            may_fail.wait(10)
            raise ModelLoadError("The file is damaged.")

    load.before = before
    with SessionPool() as pool, ThreadPoolExecutor(6) as threads:
        session = pool.session("a", load)
        done = [threads.submit(session.run, X) for _ in range(6)]
        may_fail.set()
        assert [type(each.exception()) for each in done] == [ModelLoadError] * 6
        state = pool.states()["a"]
        assert (state.state, state.error, state.in_use) == (LoadState.FAILED, "The file is damaged.", 0)
        fails[0] = False
        assert session.run(X)["y"].tolist() == [2, 2]
        state = pool.states()["a"]
        assert (state.state, state.error) == (LoadState.LOADED, None)


def test_foreign_errors_of_a_load_leave_nobody_waiting() -> None:
    with SessionPool() as pool:
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                pool.session("a", lambda: 1 / 0).run(X)  # type: ignore[arg-type, return-value]
        assert pool.states()["a"].error == "ZeroDivisionError: division by zero"


def test_the_least_recently_used_goes_first() -> None:
    clock = Clock()
    loads = {key: Loader(size=40) for key in "abc"}
    with SessionPool(budget_bytes=100, clock=clock) as pool:
        for key in ("a", "b", "a", "c"):
            clock.now += 1
            pool.session(key, loads[key]).run(X)
        assert {key: state.state for key, state in pool.states().items()} == {
            "a": LoadState.LOADED,
            "b": LoadState.UNLOADED,
            "c": LoadState.LOADED,
        }
        assert pool.loaded_bytes == 80
        assert [loads[key].open for key in "abc"] == [1, 0, 1]
        pool.session("b", loads["b"]).run(X)
        assert [loads[key].open for key in "abc"] == [0, 1, 1]


def test_what_is_in_use_is_never_closed() -> None:
    small, large = Loader(size=60), Loader(size=60)
    with SessionPool(budget_bytes=100) as pool:
        resource = pool.resource("small", small)
        with resource.lease() as session:
            pool.session("large", large).run(X)
            assert not small.made[0].closed
            assert session.run(X)["y"].tolist() == [1, 1]
            assert pool.over_budget
        assert large.open == 0, "after the lease the other, older one makes room"
        assert small.open == 1
        assert not pool.over_budget


def test_one_network_larger_than_the_budget_may_stay_while_it_is_used() -> None:
    huge, small = Loader(size=1000), Loader(size=1)
    with SessionPool(budget_bytes=100) as pool:
        for _ in range(3):
            pool.session("huge", huge).run(X)
        assert len(huge.made) == 1
        assert pool.over_budget
        pool.session("small", small).run(X)
        assert huge.open == 0
        assert not pool.over_budget


def test_a_network_that_grows_is_counted_as_grown() -> None:
    load, other = Loader(size=10), Loader(size=10)
    with SessionPool(budget_bytes=100) as pool:
        pool.session("other", other).run(X)
        session = pool.session("a", load)
        session.run(X)
        load.made[0]._size = 95
        session.run(X)
        assert session.size_bytes == 95
        assert other.open == 0


def test_what_nobody_uses_is_closed_and_comes_back() -> None:
    clock = Clock()
    load, used = Loader(), Loader()
    with SessionPool(idle_seconds=60, clock=clock) as pool:
        session = pool.session("a", load)
        session.run(X)
        with pool.resource("used", used).lease():
            clock.now += 59
            pool.sweep()
            assert load.open == 1
            clock.now += 1
            pool.sweep()
            assert (load.open, used.open) == (0, 1)
        state = pool.states()["a"]
        assert (state.state, state.size_bytes, state.runs, state.idle_seconds) == (LoadState.UNLOADED, 0, 1, 60)
        assert session.run(X)["y"].tolist() == [1, 1]
        assert len(load.made) == 2


def test_without_an_idle_time_networks_stay() -> None:
    clock = Clock()
    load = Loader()
    with SessionPool(clock=clock) as pool:
        pool.session("a", load).run(X)
        clock.now += 1e9
        pool.sweep()
        assert load.open == 1


def test_the_pool_sweeps_by_itself_and_stops_when_it_is_closed() -> None:
    load = Loader()
    gone = threading.Event()

    def observe(event: PoolEvent) -> None:
        if event.kind is PoolEventKind.RETIRED:
            gone.set()

    before = threading.active_count()
    pool = SessionPool(idle_seconds=0.02, observe=observe)
    pool.session("a", load).run(X)
    assert gone.wait(10)
    assert load.open == 0
    pool.close()
    assert threading.active_count() == before


def test_a_closed_pool_refuses_and_closes_what_is_given_back() -> None:
    load = Loader()
    pool = SessionPool()
    with pool.resource("a", load).lease():
        pool.close()
        assert load.open == 1
    assert load.open == 0
    with pytest.raises(InferenceError, match="closed"):
        pool.session("a", load).run(X)
    pool.close()


def test_a_load_that_ends_after_the_pool_was_closed_leaves_nothing_open() -> None:
    load = Loader()
    pool = SessionPool()
    load.before = pool.close
    assert pool.session("a", load).run(X)["y"].tolist() == [1, 1]
    assert load.open == 0
    assert pool.loaded_bytes == 0


def test_a_run_that_fails_gives_its_lease_back() -> None:
    load = Loader()
    with SessionPool() as pool:
        session = pool.session("a", load)
        for _ in range(3):
            with pytest.raises(InferenceError):
                session.run({"y": X["x"]})
        assert pool.states()["a"].in_use == 0
        assert session.run(X)


def test_events_tell_what_happened() -> None:
    events: list[tuple[str, str]] = []
    clock = Clock()
    pool = SessionPool(
        budget_bytes=15, idle_seconds=3600, clock=clock, observe=lambda event: events.append((event.kind, event.key))
    )
    pool.session("a", Loader()).run(X)
    pool.session("b", Loader()).run(X)
    with pytest.raises(ModelLoadError):
        pool.session("bad", failing).run(X)
    clock.now += 3600
    pool.sweep()
    pool.close()
    assert events == [
        ("loaded", "a"),
        ("ran", "a"),
        ("loaded", "b"),
        ("evicted", "a"),
        ("ran", "b"),
        ("failed", "bad"),
        ("retired", "b"),
    ]


def unreliable(factor: int, dice: random.Random, closed_in_use: list[float]) -> Loader:
    """A loader that fails now and then, and whose networks notice when they are closed while they run."""
    load = Loader(factor, size=30)

    def before() -> None:
        if dice.random() < 0.2:
            raise ModelLoadError(f"{load.factor}")

    def during() -> None:
        if all(session.closed for session in load.made):
            closed_in_use.append(load.factor)

    load.before, load.during = before, during
    return load


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_threads_many_networks_little_room(seed: int) -> None:
    """Every run gets the right network, open; none is closed in use; nothing is left over."""
    closed_in_use: list[float] = []
    loads = [unreliable(factor, random.Random(seed + factor), closed_in_use) for factor in range(1, 9)]
    pool = SessionPool(budget_bytes=100, idle_seconds=0.001)
    handles = [pool.session(str(load.factor), load) for load in loads]

    def outcome(index: int) -> str:
        try:
            result = handles[index].run(X)["y"].tolist()
        except ModelLoadError as error:
            return "failed" if error.message == str(loads[index].factor) else "another one's failure"
        return "right" if result == [loads[index].factor] * 2 else "wrong"

    def work(number: int) -> list[str]:
        choose = random.Random(seed * 1000 + number)
        return [outcome(choose.randrange(len(handles))) for _ in range(60)]

    with ThreadPoolExecutor(16) as threads:
        outcomes = [each for some in threads.map(work, range(16)) for each in some]
    assert set(outcomes) <= {"right", "failed"}
    assert outcomes.count("right") > len(outcomes) / 2
    assert closed_in_use == []
    assert all(state.in_use == 0 for state in pool.states().values())
    assert pool.loaded_bytes <= 100
    pool.close()
    assert sum(load.open for load in loads) == 0
