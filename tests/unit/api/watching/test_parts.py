"""Parts are asked once at a time, remembered, and never waited for long."""

from __future__ import annotations

import asyncio
import threading

import pytest

from facecraft.api.watching import parts
from facecraft.api.watching.parts import Part, problem_of
from facecraft.errors import ConfigurationError, FacecraftError, StorageError


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
