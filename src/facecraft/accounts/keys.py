"""`ApiKeys`: keys for programs. A key is ``fck_<id>_<secret>``; only the SHA-256 of the secret is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Row

from facecraft.accounts.closing import close
from facecraft.accounts.records import KEY_PREFIX, ApiKey, Role, Scope, check_name, now
from facecraft.accounts.tokens import digest, new_secret
from facecraft.accounts.users import checked
from facecraft.db.database import Database
from facecraft.db.ids import new_id, parse_id
from facecraft.db.tables import API_KEYS, USERS
from facecraft.errors import ApiKeyNotFoundError, InvalidOptionError, UserNotFoundError

MOST_KEYS = 100
"""Keys that one user may have."""


class ApiKeys:
    """Every key of one database. Every method raises StorageError when the database fails."""

    def __init__(self, database: Database, *, changed: Callable[[], None]) -> None:
        self._database = database
        self._changed = changed

    def create(
        self,
        name: str,
        scopes: Iterable[Scope],
        *,
        user_id: str | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key and return it with the text to send, which nobody can find out later.

        Without ``user_id`` it is a key of the operator. Raises InvalidOptionError (also for the scope ``admin`` of a
        user who is no admin, and beyond MOST_KEYS), UserNotFoundError.
        """
        name, chosen, secret = checked(check_name, name), frozenset(scopes), new_secret()
        if not chosen:
            raise InvalidOptionError("A key needs a scope.", hint=f"Choose among {', '.join(Scope)}.")
        if expires_at is not None and expires_at <= now():
            raise InvalidOptionError("The key would have expired already.")
        made = ApiKey(new_id(), name, user_id, chosen, now(), expires_at, None)
        with self._database.write() as connection:
            if user_id is not None:
                role = connection.execute(sa.select(USERS.c.role).where(USERS.c.id == user_id)).scalar_one_or_none()
                if role is None:
                    raise UserNotFoundError
                if Scope.ADMIN in chosen and role != Role.ADMIN:
                    raise InvalidOptionError("Only keys of an admin may have the scope admin.")
                counted = sa.select(sa.func.count()).select_from(API_KEYS).where(API_KEYS.c.user_id == user_id)
                if connection.execute(counted).scalar_one() >= MOST_KEYS:
                    raise InvalidOptionError(f"A user may have {MOST_KEYS} keys.", hint="Delete one that is not used.")
            connection.execute(
                sa.insert(API_KEYS).values(
                    id=made.id, user_id=user_id, name=name, digest=digest(secret), scopes=sorted(chosen),
                    created_at=made.created_at, expires_at=expires_at,
                )
            )  # fmt: skip
        self._changed()
        return made, f"{KEY_PREFIX}{UUID(made.id).hex}_{secret}"

    def browse(self, user_id: str) -> tuple[ApiKey, ...]:
        """List the keys of one user, the oldest first."""
        return self._list(sa.select(API_KEYS).where(API_KEYS.c.user_id == user_id))

    def browse_all(self) -> tuple[ApiKey, ...]:
        """List the keys of everybody, the oldest first: for the operator."""
        return self._list(sa.select(API_KEYS))

    def _list(self, query: sa.Select[Any]) -> tuple[ApiKey, ...]:
        with self._database.read() as connection:
            return tuple(map(to_key, connection.execute(query.order_by(API_KEYS.c.id)).all()))

    def revoke(self, key_id: str, *, user_id: str) -> None:
        """Delete a key of one user: it opens nothing any more. Raises ApiKeyNotFoundError."""
        self._delete(key_id, API_KEYS.c.user_id == user_id)

    def revoke_any(self, key_id: str) -> None:
        """Delete a key, whosever it is: for the operator. Raises ApiKeyNotFoundError."""
        self._delete(key_id, sa.true())

    def _delete(self, key_id: str, condition: sa.ColumnElement[bool]) -> None:
        known = parse_id(key_id)
        if known is None:
            raise ApiKeyNotFoundError
        with self._database.write() as connection:
            found = connection.execute(sa.delete(API_KEYS).where(API_KEYS.c.id == known, condition)).rowcount
            if found:
                close(connection)
        self._changed()
        if not found:
            raise ApiKeyNotFoundError


def to_key(row: Row[Any]) -> ApiKey:
    """Make the record of a key."""
    scopes = frozenset(Scope(name) for name in row.scopes)
    return ApiKey(row.id, row.name, row.user_id, scopes, row.created_at, row.expires_at, row.used_at)


def parts(text: str) -> tuple[str, str] | None:
    """Return the id and the secret of a key as it is sent, None when it does not look like one."""
    key_id, _, secret = text.removeprefix(KEY_PREFIX).partition("_")
    if not text.startswith(KEY_PREFIX) or not secret or len(key_id) != 32 or len(text) > 200:
        return None
    try:
        return str(UUID(hex=key_id)), secret
    except ValueError:
        return None
