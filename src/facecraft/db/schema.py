"""Which state the tables are in, and the way to the state of this version (Alembic, without its command line)."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import Connection

from facecraft.db.failures import MIGRATE_HINT
from facecraft.db.tables import METADATA
from facecraft.errors import ConfigurationError

_LOCK = 0x66616365  # "face": the advisory lock under which Postgres databases are migrated


def current(connection: Connection) -> str | None:
    """Return the revision of the database, None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """Return the revision that this version of Facecraft works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise ConfigurationError("The migrations are missing from this installation.", hint="Install Facecraft again.")
    return head


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Migrate up to ``revision`` inside the transaction of ``connection``. Raises ConfigurationError."""
    _lock(connection)
    try:
        command.upgrade(_config(connection), revision)
    except CommandError as error:
        raise _newer(error) from error


def downgrade(connection: Connection, revision: str) -> None:
    """Migrate down to ``revision`` (``base`` removes every table) inside the transaction of ``connection``.

    Raises ConfigurationError.
    """
    _lock(connection)
    try:
        command.downgrade(_config(connection), revision)
    except CommandError as error:
        raise _newer(error) from error


def check(connection: Connection) -> None:
    """Raise ConfigurationError unless the database is at the revision of this version."""
    found, wanted = current(connection), newest()
    if found == wanted:
        return
    if found is None:
        raise ConfigurationError("The database has no tables yet.", hint=MIGRATE_HINT)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found in known:
        raise ConfigurationError(f"The database is at revision {found}, not {wanted}.", hint=MIGRATE_HINT)
    raise _newer(None)


def difference(connection: Connection) -> list[str]:
    """Return how the tables of the database differ from :data:`facecraft.db.tables.METADATA`; empty when equal."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return [str(change) for change in compare_metadata(context, METADATA)]


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    return config


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _newer(error: CommandError | None) -> ConfigurationError:
    return ConfigurationError(
        "The database was made by a newer version of Facecraft.",
        hint="Install that version again, or use another database.",
        detail=str(error) if error else None,
    )
