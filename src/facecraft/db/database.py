"""`Database`: connections and transactions on SQLite or Postgres, chosen by a URL.

One `Database` is opened by an entry point and passed on. It is safe to use from several threads, but not across a
fork: a process that forks opens its own.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from facecraft.db import schema
from facecraft.db.failures import translated
from facecraft.db.ids import new_id
from facecraft.db.tables import ERASURES
from facecraft.errors import ConfigurationError, StorageAccessError, StorageError

_BUSY_MS = 15_000
_SCRUB_BUSY_MS = 1_000
_TRIAL_BUSY_MS = 250
_URL_HINT = "Use sqlite:////folder/facecraft.db or postgresql://user:password@host:5432/name."


class Database:
    """A database that keeps what must outlive the process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._turn: AbstractContextManager[object] = threading.Lock() if self.is_sqlite else nullcontext()

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10) -> Self:
        """Prepare connections to ``url``: ``sqlite:///path`` or ``postgresql://user:password@host/name``.

        The folder and the file of an SQLite database are made when missing, for this user only (0600). On Postgres
        nothing is connected until it is used. ``pool_size`` connections are kept; as many again may come on top.
        Raises ConfigurationError, StorageAccessError.
        """
        try:
            parsed = make_url(url)
        except exc.ArgumentError as error:
            raise ConfigurationError("The database URL cannot be read.", hint=_URL_HINT) from error
        name = parsed.get_backend_name()
        if name == "sqlite":
            return cls(_open_sqlite(parsed, pool_size))
        if name in ("postgresql", "postgres"):
            return cls(_open_postgres(parsed, pool_size))
        raise ConfigurationError(f"A database of the kind {name!r} is not supported.", hint=_URL_HINT)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is one file on this machine."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read transaction: everything read inside is the state of one moment.

        Raises StorageError and its kin, for the statements of the block too.
        """
        level = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with translated(), self.engine.connect() as plain:
            yield plain.execution_options(**level)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a write transaction: kept whole when the block ends, undone whole when it raises.

        On SQLite the write lock is taken at the start, so that a transaction which reads before it writes is never
        refused half-way. Threads of this process take turns before they ask for it: SQLite lets who finds it taken
        sleep, up to a tenth of a second at a time. What was left with :func:`when_kept` is done after it. Raises StorageError and its kin, for the statements of the block too.
        """
        kept: list[Callable[[], object]] = []
        with (
            self._turn,
            translated(),
            self.engine.connect() as plain,
            plain.execution_options(facecraft_write=True, facecraft_kept=kept) as connection,
            connection.begin(),
        ):
            yield connection
        for call in kept:
            call()

    def migrate(self) -> None:
        """Bring the tables to the state of this version. Does nothing when they are; safe to run twice at once.

        Raises StorageError, and ConfigurationError for a database of a newer version.
        """
        with self.write() as connection:
            schema.upgrade(connection)

    def check(self) -> None:
        """Make sure that the database answers and that its tables are those of this version.

        Raises ConfigurationError (hint: ``facecraft migrate``), StorageError.
        """
        with self.read() as connection:
            schema.check(connection)

    def check_writing(self) -> bool:
        """Write something that changes nothing; return False where somebody else wrote all the while, who is not waited for.

        It is kept like any other: what is undone may never reach a disk that is full. It takes no room in the end: SQLite
        writes one page into its log, which begins anew when it has a thousand, and Postgres a row that nobody ever sees.
        Raises ConfigurationError for a database without tables, StorageError.
        """
        return self._try_sqlite() if self.is_sqlite else self._try_postgres()

    def _try_sqlite(self) -> bool:
        with translated():
            raw = self.engine.raw_connection()
            try:
                cursor = raw.cursor()
                cursor.execute(f"PRAGMA busy_timeout={_TRIAL_BUSY_MS}")
                cursor.execute("BEGIN IMMEDIATE")
                cursor.execute("PRAGMA user_version=0")  # ours to use, and unused: written although it is the same
                cursor.execute("COMMIT")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname.startswith("SQLITE_BUSY"):
                    return False
                raise
            finally:
                raw.rollback()
                raw.cursor().execute(f"PRAGMA busy_timeout={_BUSY_MS}")
                raw.close()
        return True

    def _try_postgres(self) -> bool:
        with self.write() as connection:
            key = new_id()
            connection.execute(sa.insert(ERASURES).values(key=key, due_at=datetime.now(UTC)))
            connection.execute(sa.delete(ERASURES).where(ERASURES.c.key == key))
        return True

    def revision(self) -> str | None:
        """Return the revision of its tables, None where there are none. Raises StorageError."""
        with self.read() as connection:
            return schema.current(connection)

    def scrub(self) -> bool:
        """Leave no deleted bytes in the files of an SQLite database; return whether that is finished.

        Freed space is zeroed by ``secure_delete``; older pages remain in the write-ahead log until it is copied
        back and cut, which waits a second at most for readers. On Postgres there is nothing to do here: its
        vacuum reclaims deleted rows in its own time. Raises StorageError.
        """
        if not self.is_sqlite:
            return True
        with translated():
            raw = self.engine.raw_connection()
            try:
                cursor = raw.cursor()
                cursor.execute(f"PRAGMA busy_timeout={_SCRUB_BUSY_MS}")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                row = cursor.fetchone()
                cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
                cursor.close()
            finally:
                raw.close()
        return row is not None and row[0] == 0

    def close(self) -> None:
        """Close all connections."""
        with translated():
            self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def when_kept(connection: Connection, call: Callable[[], object]) -> None:
    """Do ``call`` once the transaction of ``connection`` (:meth:`Database.write`) is kept, and never if it is undone."""
    kept: list[Callable[[], object]] = connection.get_execution_options()["facecraft_kept"]
    kept.append(call)


def _open_sqlite(url: URL, pool_size: int) -> Engine:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ConfigurationError("An SQLite database needs the path of a file.", hint=_URL_HINT)
    path = Path(url.database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite gives its log the permissions of the file. Vectors of faces are nobody else's business.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageAccessError(f"The database {path} cannot be opened.", detail=str(error)) from error
    engine = sa.create_engine(
        url.set(drivername="sqlite+pysqlite"),
        pool_size=pool_size,
        max_overflow=pool_size,
        hide_parameters=True,
        connect_args={"timeout": _BUSY_MS / 1000},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(raw: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    if not isinstance(raw, sqlite3.Connection):
        raise StorageError("The SQLite driver is not the one of the standard library.")
    raw.isolation_level = None  # transactions are begun below; the driver's own rules lose DDL and read snapshots
    for pragma in (
        f"busy_timeout={_BUSY_MS}",
        "journal_mode=WAL",
        "synchronous=NORMAL",  # a power cut may undo the last commits, never damage the file
        "foreign_keys=ON",
        "secure_delete=ON",  # deleted vectors are overwritten, not only forgotten
    ):
        raw.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("facecraft_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _open_postgres(url: URL, pool_size: int) -> Engine:
    try:
        engine = sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,  # a restarted server costs one ping, not one failed request
            hide_parameters=True,
            connect_args={"connect_timeout": 10, "application_name": "facecraft", "client_encoding": "utf8"},
        )
    except ImportError as error:
        raise ConfigurationError(
            "Postgres needs its driver.", hint="Install it: pip install 'facecraft[postgres]'.", detail=str(error)
        ) from error
    event.listen(engine, "connect", _prepare_postgres, insert=True)  # before SQLAlchemy asks the server what it is
    return engine


def _prepare_postgres(raw: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Refuse a database that cannot keep every text. The server tells its encoding with every new connection."""
    encoding = raw.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):  # None: a proxy that does not pass it on
        raw.close()
        raise ConfigurationError(
            f"The database has the encoding {encoding}, in which not every text can be kept.",
            hint="Make one with UTF-8: CREATE DATABASE facecraft ENCODING 'UTF8' TEMPLATE template0.",
        )
