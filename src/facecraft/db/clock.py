"""`DatabaseClock`: one time for all machines that share a database."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from facecraft.db.database import Database
from facecraft.errors import StorageError

ASK_SECONDS = 60.0
"""How often the database is asked for the time. Clocks of machines drift apart by milliseconds in that time."""


class DatabaseClock:
    """The present moment by the clock of the database, in UTC. Safe to use from several threads.

    Machines whose clocks differ must agree on when a lease has run out. Postgres is asked now and then; between two
    questions the time goes on by the monotonic clock, so that setting the machine's own clock changes nothing. SQLite
    is on this machine and has its clock.
    """

    def __init__(self, database: Database, *, seconds: float = ASK_SECONDS) -> None:
        self._database = database
        self._seconds = seconds
        self._asking = threading.Lock()
        self._known: tuple[datetime, float] | None = None
        self._due = 0.0

    def __call__(self) -> datetime:
        """Return the present moment. Raises StorageError when the database never told it and cannot be reached."""
        if self._database.is_sqlite:
            return datetime.now(UTC)
        known = self._known
        # Only one thread asks, and the others go by what is known: they may hold the connections that it needs.
        if known is None or (time.monotonic() >= self._due and self._asking.acquire(blocking=False)):
            if known is None:
                self._asking.acquire()
            try:
                known = self._ask()
            finally:
                self._asking.release()
        moment, at = known
        return moment + timedelta(seconds=time.monotonic() - at)

    def _ask(self) -> tuple[datetime, float]:
        if self._known is not None and time.monotonic() < self._due:
            return self._known
        self._due = time.monotonic() + self._seconds
        try:
            with self._database.read() as connection:
                before = time.monotonic()
                moment: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
                self._known = moment.astimezone(UTC), (before + time.monotonic()) / 2
        except StorageError:
            if self._known is None:
                self._due = 0.0
                raise
        return self._known
