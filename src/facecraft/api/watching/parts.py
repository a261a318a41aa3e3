"""Whether the parts that the service needs besides its models answer: the database, the broker, the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio.to_thread

from facecraft import telemetry
from facecraft.errors import DeadlineError, FacecraftError, PartNotReadyError, StorageError
from facecraft.jobs import broker
from facecraft.settings import Settings
from facecraft.storage import BlobStore
from facecraft.studio import Studio

PATIENCE_SECONDS = 3.0
"""Whoever asks whether a part is ready waits no longer; the question goes on."""
FRESH_SECONDS = 2.0
"""For so long a part that was ready is not asked again."""
STORE_SECONDS = 10.0
"""The same for the store, which is asked by writing to it."""
WRITING_SECONDS = 10.0
"""For so long a database that was written is not written again only to see whether that works."""
LOCKED_SECONDS = 30.0
"""A database that somebody else has locked for so long cannot be written."""
FAILED_SECONDS = 1.0
"""For so long a part that was not ready is not asked again."""

log = telemetry.logger("api")


@dataclass(frozen=True, slots=True)
class _Answer:
    problem: FacecraftError | None
    until: float


class Part:
    """One thing that the service needs. It is asked at most once at a time, and its answer is remembered."""

    def __init__(self, name: str, check: Callable[[], None], *, fresh_seconds: float) -> None:
        """``check`` raises FacecraftError when the part is not ready; it may block."""
        self.name = name
        self._check = check
        self._fresh = fresh_seconds
        self._answer: _Answer | None = None
        self._asking: asyncio.Task[_Answer] | None = None

    @property
    def ready(self) -> bool | None:
        """What was found when the part was last asked; None before that."""
        return None if self._answer is None else self._answer.problem is None

    async def problem(self) -> FacecraftError | None:
        """Return why the part is not ready, None when it is. Never waits longer than :data:`PATIENCE_SECONDS`."""
        if self._answer is not None and time.monotonic() < self._answer.until:
            return self._answer.problem
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return (await asyncio.shield(self._asking)).problem
        except TimeoutError:
            late = DeadlineError(f"It did not answer within {PATIENCE_SECONDS:.0f} seconds.")
            self._answer = _Answer(late, time.monotonic() + FAILED_SECONDS)
            return late

    async def _ask(self) -> _Answer:
        problem: FacecraftError | None = None
        try:
            await anyio.to_thread.run_sync(self._check, abandon_on_cancel=True)
        except FacecraftError as error:
            problem = error
        if problem is not None and self.ready is not False:
            log.warning("the %s is not ready: %s", self.name, problem.message, extra={"detail": problem.detail})
        elif problem is None and self.ready is False:
            log.info("the %s is ready again", self.name)
        self._answer = _Answer(problem, time.monotonic() + (self._fresh if problem is None else FAILED_SECONDS))
        return self._answer


class Writing:
    """Finds out now and then whether the database can be written: who can only read it takes no jobs."""

    def __init__(self, attempt: Callable[[], bool], *, clock: Callable[[], float] = time.monotonic) -> None:
        """``attempt`` is :meth:`facecraft.db.database.Database.check_writing`."""
        self._attempt = attempt
        self._clock = clock
        self._due = self._written = clock()

    def check(self) -> None:
        """Raise what an attempt raises, and StorageError when others have held the database for too long. Blocks."""
        now = self._clock()
        if now < self._due:
            return
        if self._attempt():
            self._written, self._due = now, now + WRITING_SECONDS
        elif now - self._written > LOCKED_SECONDS:
            raise StorageError("The database has been locked for too long.", hint="See which other program holds it.")


class Parts:
    """Every part that the service needs besides its models."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self._parts = parts

    def add(self, part: Part) -> None:
        """Ask for this one, too."""
        self._parts = (*self._parts, part)

    def known(self) -> Mapping[str, bool]:
        """Return which parts were ready when they were last asked, by name. Does not ask."""
        return {part.name: part.ready for part in self._parts if part.ready is not None}

    async def ask(self) -> Mapping[str, FacecraftError | None]:
        """Return why each part is not ready, None where it is, by name."""
        problems = await asyncio.gather(*(part.problem() for part in self._parts))
        return {part.name: problem for part, problem in zip(self._parts, problems, strict=True)}


def problem_of(problems: Mapping[str, FacecraftError | None]) -> PartNotReadyError | None:
    """Return one error that names every part which is not ready, in words that anybody may read; None: all are."""
    failed = {name: problem for name, problem in problems.items() if problem is not None}
    if not failed:
        return None
    told = "; ".join(f"{name}: {problem.public_message}" for name, problem in failed.items())
    hints = [problem.public_hint for problem in failed.values() if problem.public_hint]
    return PartNotReadyError(f"Not ready: {told}", hint=hints[0] if hints else None)


def threads_part(dead: Callable[[], Sequence[str]]) -> Part:
    """Return the part that is ready as long as ``dead`` names no thread of this process that stopped or is stuck."""

    def check() -> None:
        stopped = dead()
        if stopped:
            raise PartNotReadyError(
                f"Threads of the server have stopped or are stuck: {', '.join(stopped)}.",
                hint="Start the server again.",
            )

    return Part("threads", check, fresh_seconds=FRESH_SECONDS)


def parts_of(settings: Settings, studio: Studio, store: BlobStore) -> Parts:
    """Return the parts of a server over ``studio`` that keeps its files in ``store``."""

    writing = Writing(studio.database.check_writing)

    def database() -> None:
        studio.database.check()
        writing.check()

    parts = [
        Part("database", database, fresh_seconds=FRESH_SECONDS),
        Part("store", store.check, fresh_seconds=STORE_SECONDS),
    ]
    url = settings.celery_broker_url
    if url is not None:
        parts.append(Part("broker", lambda: broker.ping(url.get_secret_value()), fresh_seconds=FRESH_SECONDS))
    return Parts(tuple(parts))
