"""`IdempotencyKeys`: a request that is sent again with its key is answered as the first time, and done once.

The rules are Stripe's (https://docs.stripe.com/api/idempotent_requests): a reply is kept for a day, failures of the
server with it; the same key with another request is an error; nothing is kept of a request that was refused before
anything was done for it, nor of a second one that comes while the first is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from facecraft.db.clock import DatabaseClock
from facecraft.db.database import Database
from facecraft.db.tables import IDEMPOTENCY
from facecraft.errors import IdempotencyInProgressError, IdempotencyKeyError, IdempotencyMismatchError
from facecraft.jobs.repository import Also

LONGEST_KEY = 255
"""Most characters of a key."""
KEPT = timedelta(hours=24)
"""How long a reply is kept."""
TAKEOVER = timedelta(minutes=10)
"""A first request that was not answered for so long is taken for dead, and the next one is done in its place."""
_PIECE = 1000


@dataclass(frozen=True, slots=True)
class Started:
    """The right, and the duty, to do a request: it ends with ``finish`` or ``forget``."""

    owner: str | None
    key: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Replay:
    """The reply that was given the first time."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def check_key(key: str) -> str:
    """Return ``key`` when it is 1 to 255 visible ASCII characters. Raises IdempotencyKeyError."""
    if not 1 <= len(key) <= LONGEST_KEY or not all("!" <= sign <= "~" for sign in key):
        raise IdempotencyKeyError
    return key


class IdempotencyKeys:
    """The keys of one database. Safe to use from several threads and processes.

    Every method raises StorageError when the database fails.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime] | None = None,
        takeover: timedelta = TAKEOVER,
    ) -> None:
        """Work on a migrated ``database``. ``takeover`` must be longer than any request may take.

        ``clock`` is the time of all machines that share the database; unset: the database is asked for it.
        """
        self._database = database
        self._clock = clock or DatabaseClock(database)
        self._takeover = takeover

    def begin(self, owner: str | None, key: str, fingerprint: str) -> Started | Replay:
        """Ask what to do with a request: do it, or answer as before. ``fingerprint`` is the SHA-256 of what is asked.

        Raises IdempotencyKeyError; IdempotencyMismatchError when the key came with another fingerprint;
        IdempotencyInProgressError while the first request is under way.
        """
        check_key(key)
        now = self._clock()
        values = {"fingerprint": fingerprint, "created_at": now, "expires_at": now + KEPT}
        empty = {"status": None, "headers": sa.null(), "body": None}
        with self._database.write() as connection:
            connection.execute(sa.delete(IDEMPOTENCY).where(_is(owner, key), IDEMPOTENCY.c.expires_at <= now))
            if _insert(connection, self._database, {"owner": owner or "", "key": key, **values, **empty}):
                return Started(owner, key, now)
            row = connection.execute(sa.select(IDEMPOTENCY).where(_is(owner, key)).with_for_update()).one_or_none()
            if row is None:  # it was forgotten in this very moment
                raise IdempotencyInProgressError
            if row.fingerprint != fingerprint:
                raise IdempotencyMismatchError
            if row.status is not None:
                return Replay(row.status, dict(row.headers), row.body)
            if now - row.created_at < self._takeover:
                raise IdempotencyInProgressError
            connection.execute(sa.update(IDEMPOTENCY).where(_is(owner, key)).values(**values))
            return Started(owner, key, now)

    def finish(self, started: Started, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Keep the reply to a request. Return False, and keep nothing, when another one has taken its place."""
        with self._database.write() as connection:
            return keep(connection, started, status, headers, body)

    def forget(self, started: Started) -> None:
        """Keep nothing: the request was refused before anything was done for it, and may come again.

        A reply that was kept already stays: with it came what it tells of.
        """
        with self._database.write() as connection:
            connection.execute(sa.delete(IDEMPOTENCY).where(_mine(started)))

    def sweep(self, now: datetime | None = None) -> int:
        """Delete keys that are older than a day; return how many."""
        moment, total = now or self._clock(), 0
        old = sa.select(IDEMPOTENCY.c.owner, IDEMPOTENCY.c.key).where(IDEMPOTENCY.c.expires_at <= moment).limit(_PIECE)
        while True:
            with self._database.write() as connection:
                some = sa.tuple_(IDEMPOTENCY.c.owner, IDEMPOTENCY.c.key).in_(old)
                deleted = connection.execute(sa.delete(IDEMPOTENCY).where(some)).rowcount
            if deleted == 0:
                return total
            total += deleted


def keep(connection: Connection, started: Started, status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Keep the reply to a request inside the caller's transaction: with what the request makes, or not at all."""
    values = {"status": status, "headers": dict(headers), "body": body}
    return connection.execute(sa.update(IDEMPOTENCY).where(_mine(started)).values(**values)).rowcount == 1


def joined(started: Started, status: int, headers: Mapping[str, str], body: bytes) -> Also:
    """Return what keeps the reply to a request in the transaction that makes what it tells of.

    From then on :meth:`IdempotencyKeys.forget` leaves it alone. It raises IdempotencyInProgressError, which undoes that
    transaction, when another request has taken the place of this one.
    """

    def also(connection: Connection) -> None:
        if not keep(connection, started, status, headers, body):
            raise IdempotencyInProgressError

    return also


def _is(owner: str | None, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(IDEMPOTENCY.c.owner == (owner or ""), IDEMPOTENCY.c.key == key)


def _mine(started: Started) -> sa.ColumnElement[bool]:
    under_way = sa.and_(IDEMPOTENCY.c.status.is_(None), IDEMPOTENCY.c.created_at == started.since)
    return sa.and_(_is(started.owner, started.key), under_way)


def _insert(connection: Connection, database: Database, values: Mapping[str, object]) -> bool:
    """Add a row unless its key is there; on Postgres this waits for another transaction that adds the same."""
    insert = sqlite.insert if database.is_sqlite else postgresql.insert
    statement = insert(IDEMPOTENCY).values(**values).on_conflict_do_nothing().returning(IDEMPOTENCY.c.key)
    return connection.execute(statement).first() is not None
