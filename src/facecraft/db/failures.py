"""Turns what SQLAlchemy and the drivers raise into Facecraft's errors, at the place where they are called."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from facecraft.errors import (
    ConfigurationError,
    FacecraftError,
    InvalidOptionError,
    StorageAccessError,
    StorageError,
    StorageFullError,
)

MIGRATE_HINT = "Run `facecraft migrate`."
_UNSTORABLE = ("", "22021", "22P05")
"""What Postgres says of the character NUL in a text or in JSON; nothing where the driver refuses to send it."""


@contextmanager
def translated() -> Iterator[None]:
    """Translate errors of the database inside the block.

    Raises StorageFullError, StorageAccessError, StorageError, for a missing table ConfigurationError, and
    InvalidOptionError for text that cannot be stored.
    """
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        raise translate(error) from error


def translate(error: exc.SQLAlchemyError | sqlite3.Error) -> FacecraftError:
    """Return the error of ours that says what ``error`` means. Row values are kept out of the detail."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    detail = f"{type(cause).__name__}: {cause}"
    if isinstance(cause, sqlite3.Error):
        return _sqlite(cause, detail)
    if isinstance(error, exc.TimeoutError):
        return StorageError("All connections to the database are in use.", hint="Retry after a moment.", detail=detail)
    if isinstance(error, exc.DBAPIError):
        state = getattr(cause, "sqlstate", None) or ""
        if isinstance(error, exc.DataError) and state in _UNSTORABLE:
            return InvalidOptionError(
                "A text holds characters that cannot be stored.", hint="Leave out NUL.", detail=detail
            )
        return _postgres(state, detail)
    return StorageError("The database could not be used.", detail=detail)


def _sqlite(cause: sqlite3.Error, detail: str) -> FacecraftError:
    # https://www.sqlite.org/rescode.html: an extended code begins with the name of its primary code.
    name = getattr(cause, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL"):
        return StorageFullError("There is no space left for the database.", detail=detail)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return StorageAccessError("The database file cannot be read or written.", detail=detail)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StorageError("The database is busy.", hint="Retry after a moment.", detail=detail)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StorageError(
            "The database file is damaged.", hint="Restore it from a backup, or move it away.", detail=detail
        )
    if "no such table" in str(cause) or "no such column" in str(cause):
        return ConfigurationError("The database has not been migrated.", hint=MIGRATE_HINT, detail=detail)
    return StorageError("The database could not be used.", detail=detail)


def _postgres(state: str, detail: str) -> FacecraftError:
    # https://www.postgresql.org/docs/current/errcodes-appendix.html: the first two letters are the class.
    if state == "53100":
        return StorageFullError("There is no space left for the database.", detail=detail)
    if state in ("42P01", "42703"):
        return ConfigurationError("The database has not been migrated.", hint=MIGRATE_HINT, detail=detail)
    if state == "42501" or state[:2] == "28" or state == "3D000":
        return StorageAccessError(
            "The database refuses this account.", hint="Check the user, password and name in its URL.", detail=detail
        )
    if state[:2] in ("40", "53", "55"):
        return StorageError("The database is busy.", hint="Retry after a moment.", detail=detail)
    if state[:2] in ("", "08", "57"):
        return StorageError("The database could not be reached.", hint="Retry after a moment.", detail=detail)
    return StorageError("The database could not be used.", detail=detail)
