"""`Callers`: who it is that sends a key or a token.

An answer is remembered for a few seconds, so that most requests cost no look into the database. What this process
changes counts at once; what another one changes, when the answer is forgotten.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from hashlib import sha256

import sqlalchemy as sa

from facecraft.accounts import closing, keys
from facecraft.accounts.errands import Errands
from facecraft.accounts.records import ALL_SCOPES, KEY_PREFIX, Caller, Role, Scope, now
from facecraft.accounts.tokens import AccessTokens, digest
from facecraft.db.database import Database
from facecraft.db.ids import parse_id
from facecraft.db.tables import API_KEYS, SESSIONS, USERS
from facecraft.errors import TokenInvalidError

MEMORY_SECONDS = 3.0
"""How long an answer is remembered: as late may a revocation by another process take effect."""
KNOWN_SECONDS = 5.0
"""How long it is remembered that nobody has an account or a key yet."""
_MOST_REMEMBERED = 20_000
_USE_NOTED = timedelta(minutes=1)

_SESSION = (
    sa.select(USERS.c.id, USERS.c.role)
    .select_from(SESSIONS.join(USERS))
    .where(
        SESSIONS.c.id == sa.bindparam("session"),
        USERS.c.id == sa.bindparam("user"),
        SESSIONS.c.expires_at > sa.bindparam("moment", type_=SESSIONS.c.expires_at.type),
        USERS.c.disabled_at.is_(None),
    )
)
_KEY = (
    sa.select(API_KEYS, USERS.c.role, USERS.c.disabled_at)
    .select_from(API_KEYS.outerjoin(USERS))
    .where(API_KEYS.c.id == sa.bindparam("key"))
)


class Callers:
    """Tells callers by what they send. Safe to use from several threads."""

    def __init__(
        self,
        database: Database,
        tokens: Callable[[], AccessTokens],
        errands: Errands,
        *,
        seconds: float = MEMORY_SECONDS,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._errands = errands
        self._seconds = seconds
        self._remembered: dict[bytes, tuple[Caller, float]] = {}
        self._changes = 0
        self._lock = threading.Lock()
        self._anybody: tuple[bool, float] = (False, 0.0)

    def forget(self) -> None:
        """Forget every answer: something has changed."""
        with self._lock:
            self._changes += 1
            self._remembered.clear()
            self._anybody = (False, 0.0)

    def remembered(self, text: str) -> Caller | None:
        """Return who sent ``text`` when that was found out a moment ago. Never waits."""
        caller, until = self._remembered.get(_name(text), (None, 0.0))
        return caller if time.monotonic() < until else None

    def find(self, text: str) -> Caller:
        """Return who sends ``text``, an API key or an access token. Raises TokenInvalidError, StorageError."""
        known = self.remembered(text)
        if known is not None:
            return known
        changes = self._changes
        caller, expires = self._of_key(text) if text.startswith(KEY_PREFIX) else self._of_token(text)
        until = time.monotonic() + min(self._seconds, expires - time.time())
        with self._lock:
            # What was changed while we looked may be the very thing we saw.
            if changes == self._changes:
                if len(self._remembered) >= _MOST_REMEMBERED:
                    self._remembered.clear()
                self._remembered[_name(text)] = (caller, until)
        return caller

    def anybody(self) -> bool:
        """Whether there is or was a user or a key, so that callers have to say who they are. Raises StorageError."""
        answer, until = self._anybody
        if time.monotonic() < until:
            return answer
        changes = self._changes
        with self._database.read() as connection:
            answer = closing.is_closed(connection)
        with self._lock:
            if changes == self._changes:
                self._anybody = (answer, time.monotonic() + KNOWN_SECONDS)
        return answer

    def present(self) -> bool:
        """Whether there is a user or a key just now. Raises StorageError."""
        with self._database.read() as connection:
            return closing.is_anybody(connection)

    @property
    def anybody_remembered(self) -> bool | None:
        """What :meth:`anybody` said a moment ago, None when it has to look. Never waits."""
        answer, until = self._anybody
        return answer if time.monotonic() < until else None

    def _of_token(self, text: str) -> tuple[Caller, float]:
        claims = self._tokens().read(text)
        session_id, user_id = parse_id(claims.session_id), parse_id(claims.user_id)
        with self._database.read() as connection:
            named = {"session": session_id, "user": user_id, "moment": now()}
            row = connection.execute(_SESSION, named).one_or_none() if session_id and user_id else None
        if row is None:
            raise TokenInvalidError(detail="the session has ended")
        caller = Caller(row.id, row.id, Role(row.role), _allowed(ALL_SCOPES, row.role), session_id=session_id)
        return caller, claims.expires

    def _of_key(self, text: str) -> tuple[Caller, float]:
        parts = keys.parts(text)
        if parts is None:
            raise TokenInvalidError(detail="not the form of a key")
        key_id, secret = parts
        with self._database.read() as connection:
            row = connection.execute(_KEY, {"key": key_id}).one_or_none()
        moment = now()
        if row is None or not hmac.compare_digest(row.digest, digest(secret)) or row.disabled_at is not None:
            raise TokenInvalidError(detail="no such key")
        key = keys.to_key(row)
        if key.expires_at is not None and key.expires_at <= moment:
            raise TokenInvalidError(detail="the key has expired")
        if key.used_at is None or moment - key.used_at >= _USE_NOTED:
            self._errands.do("note of a key's use", partial(self._note_use, key_id))
        role = Role(row.role) if key.user_id else Role.ADMIN
        caller = Caller(key.user_id, key.user_id, role, _allowed(key.scopes, role), key_id=key_id)
        return caller, key.expires_at.timestamp() if key.expires_at else float("inf")

    def _note_use(self, key_id: str) -> None:
        moment = now()
        stale = sa.or_(API_KEYS.c.used_at.is_(None), API_KEYS.c.used_at <= moment - _USE_NOTED)
        with self._database.write() as connection:
            connection.execute(sa.update(API_KEYS).where(API_KEYS.c.id == key_id, stale).values(used_at=moment))


def _allowed(scopes: frozenset[Scope], role: str) -> frozenset[Scope]:
    """A user who is no admin any more does not manage users with an old key either."""
    return scopes if role == Role.ADMIN else scopes - {Scope.ADMIN}


def _name(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
