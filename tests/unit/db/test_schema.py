"""The migrations make exactly the tables that the code uses, and can be undone."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from facecraft.db import schema
from facecraft.db.database import Database
from facecraft.db.tables import METADATA
from facecraft.errors import ConfigurationError


def shape(database: Database) -> dict[str, object]:
    """Everything the database says of its tables, comparable."""
    found: dict[str, object] = {}
    inspector = sa.inspect(database.engine)
    for table in sorted(inspector.get_table_names()):
        found[table] = [
            sorted((c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(table)),
            inspector.get_pk_constraint(table)["constrained_columns"],
            sorted((k["name"] or "", tuple(k["constrained_columns"]), str(k["options"])) for k in inspector.get_foreign_keys(table)),
            sorted((i["name"] or "", tuple(i["column_names"]), bool(i["unique"])) for i in inspector.get_indexes(table)),
            sorted((u["name"] or "", tuple(u["column_names"])) for u in inspector.get_unique_constraints(table)),
        ]  # fmt: skip
    return found


def test_the_migrations_make_the_tables_of_the_code(empty_database_url: str) -> None:
    with Database.open(empty_database_url) as database:
        database.migrate()
        with database.read() as connection:
            assert schema.difference(connection) == []
        migrated = shape(database)
        with database.write() as connection:
            schema.downgrade(connection, "base")
            METADATA.create_all(connection)
        assert shape(database) == migrated


def test_a_difference_would_be_seen(empty_database_url: str) -> None:
    with Database.open(empty_database_url) as database:
        database.migrate()
        with database.write() as connection:
            connection.exec_driver_sql("ALTER TABLE galleries ADD COLUMN surprise TEXT")
        with database.read() as connection:
            assert "surprise" in str(schema.difference(connection))


def test_up_down_and_up_again_is_the_same(empty_database_url: str) -> None:
    with Database.open(empty_database_url) as database:
        database.migrate()
        first = shape(database)
        with database.write() as connection:
            schema.downgrade(connection, "base")
        assert list(shape(database)) == ["alembic_version"]
        database.migrate()
        assert shape(database) == first


def test_migrating_twice_changes_nothing(empty_database_url: str) -> None:
    with Database.open(empty_database_url) as database:
        database.migrate()
        first = shape(database)
        database.migrate()
        database.check()
        assert shape(database) == first


def test_two_that_migrate_at_once_wait_for_each_other(empty_database_url: str) -> None:
    failures: list[Exception] = []

    def migrate() -> None:
        with Database.open(empty_database_url) as database:
            try:
                database.migrate()
            except Exception as error:  # noqa: BLE001
                failures.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    with Database.open(empty_database_url) as database:
        database.check()


def test_an_empty_database_is_refused_with_the_command(empty_database_url: str) -> None:
    with Database.open(empty_database_url) as database, pytest.raises(ConfigurationError) as caught:
        database.check()
    assert "facecraft migrate" in (caught.value.hint or "")


def test_a_database_of_a_newer_version_is_refused(empty_database_url: str) -> None:
    with Database.open(empty_database_url) as database:
        database.migrate()
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(ConfigurationError, match="newer"):
            database.check()
        with pytest.raises(ConfigurationError, match="newer"):
            database.migrate()


def test_a_failed_migration_leaves_nothing_behind(empty_database_url: str) -> None:
    def interrupted(database: Database) -> None:
        with database.write() as connection:
            schema.upgrade(connection)
            raise KeyError

    with Database.open(empty_database_url) as database:
        with pytest.raises(KeyError):
            interrupted(database)
        assert shape(database) == {}
