"""Connections, transactions and what their failures are called, on SQLite and on Postgres."""

from __future__ import annotations

import sqlite3
import stat
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from facecraft.db.database import Database, when_kept
from facecraft.db.ids import new_id
from facecraft.db.tables import ERASURES
from facecraft.db.types import UtcDateTime
from facecraft.errors import ConfigurationError, StorageAccessError, StorageError, StorageFullError
from services.full_disk import no_file_grows

NOW = datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


def keys(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(ERASURES.c.key).order_by(ERASURES.c.key)).scalars())


def add(database: Database, key: str) -> None:
    with database.write() as connection:
        connection.execute(sa.insert(ERASURES).values(key=key, due_at=NOW))


@pytest.fixture
def database(database_url: str):
    with Database.open(database_url) as opened:
        opened.migrate()
        yield opened


def test_that_it_can_be_written_is_found_out(database: Database) -> None:
    assert database.check_writing()
    assert keys(database) == []


def test_a_finished_transaction_is_kept(database: Database) -> None:
    add(database, "a")
    assert keys(database) == ["a"]


def test_a_transaction_that_raises_is_undone_whole(database: Database) -> None:
    def half() -> None:
        with database.write() as connection:
            connection.execute(sa.insert(ERASURES).values(key="a", due_at=NOW))
            connection.execute(sa.insert(ERASURES).values(key="b", due_at=NOW))
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert keys(database) == []


def test_what_follows_a_transaction_is_done_only_when_it_was_kept(database: Database) -> None:
    done: list[list[str]] = []

    def write(*, fails: bool) -> None:
        with database.write() as connection:
            when_kept(connection, lambda: done.append(keys(database)))
            connection.execute(sa.insert(ERASURES).values(key="a", due_at=NOW))
            if fails:
                raise KeyError

    with pytest.raises(KeyError):
        write(fails=True)
    assert done == []
    write(fails=False)
    assert done == [["a"]]


def test_a_read_sees_one_moment(database: Database) -> None:
    add(database, "a")
    count = sa.select(sa.func.count()).select_from(ERASURES)
    with database.read() as connection:
        assert connection.execute(count).scalar_one() == 1
        add(database, "b")
        assert connection.execute(count).scalar_one() == 1
    assert keys(database) == ["a", "b"]


def test_writers_that_read_first_wait_for_each_other(database: Database) -> None:
    """Read, then write: on SQLite that fails half-way unless the write lock is taken first."""
    add(database, "0" * 8)

    def count_up() -> None:
        for _ in range(10):
            with database.write() as connection:
                key = connection.execute(sa.select(ERASURES.c.key).with_for_update()).scalar_one()
                connection.execute(sa.update(ERASURES).values(key=f"{int(key) + 1:08}"))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    # Postgres reads the row again after waiting only because of FOR UPDATE; SQLite because of BEGIN IMMEDIATE.
    assert keys(database) == ["00000040"]


def test_moments_come_back_in_utc(database: Database) -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-7)))
    with database.write() as connection:
        connection.execute(sa.insert(ERASURES).values(key="a", due_at=elsewhere))
    with database.read() as connection:
        found = connection.execute(sa.select(ERASURES.c.due_at)).scalar_one()
        earlier = connection.execute(sa.select(ERASURES.c.key).where(ERASURES.c.due_at < NOW)).all()
    assert found == NOW
    assert found.tzinfo is UTC
    assert earlier == []


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        UtcDateTime().process_bind_param(datetime(2024, 1, 1), sa.create_engine("sqlite://").dialect)  # noqa: DTZ001


def test_identifiers_sort_by_time() -> None:
    made = [new_id() for _ in range(3)]
    assert len(set(made)) == 3
    assert all(one[14] == "7" for one in made)


def test_a_missing_table_names_the_command_that_helps(empty_database_url: str) -> None:
    with Database.open(empty_database_url) as database, pytest.raises(ConfigurationError) as caught:
        keys(database)
    assert "facecraft migrate" in (caught.value.hint or "")


def test_row_values_stay_out_of_the_error(database: Database) -> None:
    add(database, "a-key-of-somebody")
    with pytest.raises(StorageError) as caught, database.write() as connection:
        connection.execute(sa.insert(ERASURES).values(key="a-key-of-somebody", due_at=None))
    assert "INSERT" not in (caught.value.detail or "")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("url", ["nonsense", "mysql://u@h/d", "sqlite://", "sqlite:///:memory:", ""])
def test_a_url_that_cannot_be_used_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Database.open(url)
    assert "sqlite:///" in (caught.value.hint or "")


# --- SQLite --------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "facecraft.db"


def test_the_file_is_made_for_this_user_only(file: Path) -> None:
    with Database.open(f"sqlite:///{file}") as database:
        database.migrate()
        found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert found["facecraft.db"] == 0o600
    assert set(found.values()) == {0o600}


def test_every_connection_has_the_promised_settings(file: Path) -> None:
    with Database.open(f"sqlite:///{file}") as database, database.read() as one, database.read() as two:
        for connection in (one, two):
            for name, value in {
                "journal_mode": "wal", "foreign_keys": 1, "synchronous": 1, "secure_delete": 1, "busy_timeout": 15000,
            }.items():  # fmt: skip
                assert connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() == value


def test_a_file_that_is_no_database_is_said_so(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"these are not the bytes of a database " * 50)
    with Database.open(f"sqlite:///{file}") as database, pytest.raises(StorageError, match="damaged"):
        database.migrate()


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageAccessError):
        Database.open(f"sqlite:///{tmp_path / 'file' / 'facecraft.db'}")


def test_a_full_disk_is_said_so(file: Path) -> None:
    rows = [{"key": f"{number:0500}", "due_at": NOW} for number in range(1000)]
    with Database.open(f"sqlite:///{file}") as database:
        database.migrate()
        with database.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StorageFullError), database.write() as connection:
            connection.execute(sa.insert(ERASURES), rows)
        assert keys(database) == []


def test_that_it_can_be_written_is_found_out_without_leaving_anything(file: Path) -> None:
    with Database.open(f"sqlite:///{file}") as database:
        database.migrate()
        log = file.with_name(file.name + "-wal")
        database.scrub()
        assert log.stat().st_size == 0
        for _ in range(3):
            assert database.check_writing()
        assert 0 < log.stat().st_size < 20_000
        database.check()
        assert keys(database) == []


def test_whoever_only_asks_does_not_wait_for_who_writes(file: Path) -> None:
    with Database.open(f"sqlite:///{file}") as database:
        database.migrate()
        with database.write():
            assert not database.check_writing()
        assert database.check_writing()
        with database.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 15_000


def test_a_database_that_cannot_be_written_is_found_out(file: Path) -> None:
    with Database.open(f"sqlite:///{file}") as database:
        database.migrate()
        database.scrub()
        with no_file_grows():
            database.check()
            with pytest.raises(StorageError):
                database.check_writing()
        assert database.check_writing()


def test_a_lock_that_is_held_for_too_long_is_said_so(file: Path) -> None:
    with Database.open(f"sqlite:///{file}") as database:
        database.migrate()
        with database.read() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=10")
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(StorageError, match="busy"):
                add(database, "a")
        finally:
            other.close()


def test_deleted_bytes_leave_the_files(file: Path) -> None:
    secret = "a secret that must not remain " * 10
    with Database.open(f"sqlite:///{file}") as database:
        database.migrate()
        add(database, secret)
        assert any(secret.encode() in path.read_bytes() for path in file.parent.iterdir())
        with database.write() as connection:
            connection.execute(sa.delete(ERASURES))
        assert database.scrub()
        assert not any(secret.encode() in path.read_bytes() for path in file.parent.iterdir())


def test_scrubbing_does_not_wait_for_ever_for_a_reader(file: Path) -> None:
    with Database.open(f"sqlite:///{file}") as database:
        database.migrate()
        with database.read() as connection:
            connection.execute(sa.select(ERASURES)).all()
            add(database, "a")
            assert not database.scrub()
        assert database.scrub()


# --- Postgres ------------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_said_so(postgres) -> None:
    with Database.open("postgresql://nobody@127.0.0.1:1/none") as database, pytest.raises(StorageError, match="reach"):
        database.check()


def test_a_database_that_is_not_there_is_said_so(postgres) -> None:
    with Database.open(postgres.url("no_such_database")) as database, pytest.raises(StorageError):
        database.check()


def test_a_password_never_reaches_an_error(postgres) -> None:
    url = postgres.url("no_such_database").replace("postgres@", "postgres:hunter2@")
    with Database.open(url) as database, pytest.raises(StorageError) as caught:
        database.check()
    assert "hunter2" not in f"{caught.value} {caught.value.detail} {caught.value.hint} {database.engine.url}"


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
@pytest.mark.parametrize("work", ["migrate", "check", "revision"])
def test_a_database_that_cannot_keep_every_text_is_refused(postgres, encoding: str, work: str) -> None:
    with postgres.database(encoding) as url, Database.open(url) as database:
        with pytest.raises(ConfigurationError, match=encoding) as caught:
            getattr(database, work)()
        assert "ENCODING 'UTF8'" in (caught.value.hint or "")


def test_the_encoding_of_the_client_is_not_taken_from_its_surroundings(
    postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    with postgres.database() as url, Database.open(url) as database:
        database.migrate()
        add(database, "Zoë 山")
        assert keys(database) == ["Zoë 山"]


def test_work_goes_on_after_the_server_was_restarted(postgres) -> None:
    with postgres.database() as url, Database.open(url) as database:
        database.migrate()
        add(database, "before")
        postgres.stop()
        with pytest.raises(StorageError):
            keys(database)
        postgres.start()
        assert keys(database) == ["before"]
