"""Parts are asked once at a time, remembered, and never waited for long."""

from __future__ import annotations

import asyncio
import threading

import pytest

from facecraft.api.watching import parts
from facecraft.api.watching.parts import Part, Writing, problem_of
from facecraft.errors import ConfigurationError, FacecraftError, StorageError, StorageFullError


def test_many_ask_and_the_part_is_asked_once() -> None:
    asked: list[int] = []
    part = Part("store", lambda: asked.append(1), fresh_seconds=60)

    async def ask() -> list[FacecraftError | None]:
        first = await asyncio.gather(*(part.problem() for _ in range(50)))
        return [*first, await part.problem()]

    assert asyncio.run(ask()) == [None] * 51
    assert asked == [1]
    assert part.ready is True


def test_a_part_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PATIENCE_SECONDS", 0.1)
    hangs, asked = threading.Event(), []

    def check() -> None:
        asked.append(1)
        hangs.wait(20)

    part = Part("database", check, fresh_seconds=60)

    async def ask() -> tuple[FacecraftError | None, FacecraftError | None]:
        late = await part.problem()
        await asyncio.gather(part.problem(), part.problem())
        hangs.set()
        for _ in range(200):
            await asyncio.sleep(0.01)
            if part.ready:
                break
        return late, await part.problem()

    late, after = asyncio.run(ask())
    assert late is not None
    assert "did not answer" in late.message
    assert after is None
    assert asked == [1]


def test_a_database_is_written_seldom_to_see_whether_that_works() -> None:
    now, tried = [0.0], []
    writing = Writing(lambda: not tried.append(now[0]), clock=lambda: now[0])
    for now[0] in (0.0, 1.0, 9.9, 10.0, 15.0, 20.1):
        writing.check()
    assert tried == [0.0, 10.0, 20.1]


def test_what_cannot_be_written_is_tried_again_at_once() -> None:
    tried: list[int] = []

    def attempt() -> bool:
        tried.append(1)
        if len(tried) < 3:
            raise StorageFullError
        return True

    writing = Writing(attempt, clock=lambda: 5.0)
    for _ in range(2):
        with pytest.raises(StorageFullError):
            writing.check()
    writing.check()
    writing.check()
    assert len(tried) == 3


def test_a_database_that_others_write_is_ready_and_one_that_they_keep_locked_is_not() -> None:
    now, free = [0.0], [False]
    writing = Writing(lambda: free[0], clock=lambda: now[0])
    for now[0] in (0.0, 10.0, 30.0):
        writing.check()
    now[0] = 30.1
    with pytest.raises(StorageError, match="locked"):
        writing.check()
    free[0] = True
    writing.check()


def test_what_is_told_names_the_parts_and_keeps_folders_to_itself() -> None:
    problems = {
        "database": StorageError("The database /srv/secret/f.db cannot be read."),
        "store": None,
        "broker": ConfigurationError("password=hunter2", hint="Look at the settings."),
    }
    told = problem_of(problems)
    assert told is not None
    assert "database" in told.public_message
    assert "broker" in told.public_message
    assert "store:" not in told.public_message
    assert "secret" not in told.public_message
    assert "hunter2" not in told.public_message
    assert problem_of({"database": None}) is None
