"""Accounts are opened when they are needed, and not before."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from facecraft.accounts.config import AccountConfig
from facecraft.accounts.opening import LazyAccounts
from facecraft.accounts.records import Scope
from facecraft.api.callers.access import Gate
from facecraft.db.database import Database
from facecraft.errors import StorageError
from facecraft.settings import Settings

SECRET = "5f2c8e1b9a7d4063b1e8c2f7a9d05e34"


def never() -> NoReturn:
    raise AssertionError("this was not to be opened")


def lazy(tmp_path: Path, database: Database | None, **config: object) -> LazyAccounts:
    return LazyAccounts(
        AccountConfig(**config),
        tmp_path / "jwt-secret",
        database=never if database is None else lambda: database,
        erase=[].append,
        exists=lambda: database is not None,
    )


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_without_a_database_nobody_has_to_say_who_it_is_and_none_is_made(tmp_path: Path) -> None:
    gate = Gate(Settings(_env_file=None))  # type: ignore[call-arg]
    with pytest.raises(StorageError):
        await gate.is_closed()
    gate.open(lazy(tmp_path, None))
    assert not await gate.is_closed()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
async def test_a_database_that_fails_closes_the_door_that_was_closed(tmp_path: Path) -> None:
    with Database.open(f"sqlite:///{tmp_path / 'a.db'}") as database:
        database.migrate()
        accounts = lazy(tmp_path, database)
        gate = Gate(Settings(_env_file=None))  # type: ignore[call-arg]
        gate.open(accounts)
        accounts.open().keys.create("ops", [Scope.READ])
        assert await gate.is_closed()
        database.close()
        (tmp_path / "a.db").write_bytes(b"no database" * 1000)
        accounts.open().callers.forget()
        with pytest.raises(StorageError):
            accounts.open().callers.anybody()
        assert await gate.is_closed()
        accounts.close()


def test_a_given_secret_is_used_and_none_is_made(tmp_path: Path) -> None:
    with Database.open(f"sqlite:///{tmp_path / 'a.db'}") as database:
        database.migrate()
        accounts = lazy(tmp_path, database, jwt_secret_key=SECRET)
        assert accounts.opened is None
        user = accounts.open().users.create("ann@example.org", "correct horse")
        grant = accounts.open().sessions.open(user)
        assert accounts.open().callers.find(grant.access_token).user_id == user.id
        assert not (tmp_path / "jwt-secret").exists()
        accounts.close()
        unset = lazy(tmp_path, database)
        unset.open()
        assert not (tmp_path / "jwt-secret").exists()  # nobody signed in yet
        unset.open().sessions.open(user)
        assert (tmp_path / "jwt-secret").exists()
        unset.close()
