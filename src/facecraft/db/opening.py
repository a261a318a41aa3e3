"""Opens the database. Importing this loads no database package; opening does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecraft.errors import FacecraftError, RuntimeMissingError

if TYPE_CHECKING:
    from facecraft.db.database import Database

_PACKAGES = ("sqlalchemy", "alembic")


def connect_database(url: str) -> Database:
    """Prepare connections to ``url``; the caller closes them. Its tables may be of any version.

    Raises ConfigurationError, StorageError, and RuntimeMissingError where the database packages are not installed.
    """
    try:
        from facecraft.db.database import Database  # noqa: PLC0415 - loads SQLAlchemy and Alembic
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        raise RuntimeMissingError(
            "The database packages are not installed.", hint="pip install 'facecraft[server]'", detail=str(error)
        ) from error
    return Database.open(url)


def open_database(url: str, *, migrate: bool) -> Database:
    """Open the database ``url``, ready for use; the caller closes it.

    With ``migrate`` the tables are brought to this version; without it they must be. Raises ConfigurationError,
    StorageError, RuntimeMissingError.
    """
    database = connect_database(url)
    try:
        if migrate:
            database.migrate()
        else:
            database.check()
    except FacecraftError:
        database.close()
        raise
    return database
