"""Keys that see everything, where no API asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from facecraft.accounts.config import AccountConfig, AuthMode
from facecraft.accounts.opening import LazyAccounts
from facecraft.accounts.overseers import Overseers
from facecraft.accounts.records import Role, Scope, now
from facecraft.db.database import Database
from facecraft.errors import StorageError

OPERATOR = "0123456789abcdef-operator"
PASSWORD = "correct horse"


def never() -> NoReturn:
    raise AssertionError("this was not to be opened")


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[LazyAccounts]:
    with Database.open(f"sqlite:///{tmp_path / 'a.db'}") as database:
        database.migrate()
        lazy = LazyAccounts(
            AccountConfig(), tmp_path / "jwt-secret", database=lambda: database, erase=[].append, exists=lambda: True
        )
        with closing(lazy):
            yield lazy


@pytest.fixture
def nowhere(tmp_path: Path) -> LazyAccounts:
    return LazyAccounts(AccountConfig(), tmp_path / "jwt-secret", database=never, erase=[].append, exists=lambda: False)


def test_the_key_of_the_operator_needs_no_database(nowhere: LazyAccounts) -> None:
    overseers = Overseers(OPERATOR, nowhere)
    assert overseers(OPERATOR)
    for other in ("", OPERATOR[:-1], OPERATOR + "x", "fck_1_2", "\udcff"):
        assert not overseers(other)
    assert not Overseers(None, nowhere)("")


def test_keys_of_operators_and_admins_see_everything_while_they_are_good(accounts: LazyAccounts) -> None:
    opened, overseers = accounts.open(), Overseers(None, accounts)
    opened.callers._seconds = 0.0
    admin = opened.users.create("ann@example.org", PASSWORD, role=Role.ADMIN)
    user = opened.users.create("bob@example.org", PASSWORD)
    made, good = opened.keys.create("ops", [Scope.READ])
    _, of_admin = opened.keys.create("a", [Scope.READ], user_id=admin.id)
    _, of_user = opened.keys.create("b", list(set(Scope) - {Scope.ADMIN}), user_id=user.id)
    _, cannot_read = opened.keys.create("w", [Scope.WRITE])
    _, short = opened.keys.create("s", [Scope.READ], expires_at=now() + timedelta(days=1))
    assert [overseers(key) for key in (good, of_admin, of_user, cannot_read, short)] == [True, True, False, False, True]
    for odd in (good + "x", good[:-1], "fck_", "fck_" + "x" * 5000, opened.sessions.open(admin).access_token):
        assert not overseers(odd)
    opened.keys.revoke_any(made.id)
    opened.users.set_disabled(admin.id, disabled=True)
    assert [overseers(key) for key in (good, of_admin)] == [False, False]


def test_a_database_that_is_away_is_no_refusal(accounts: LazyAccounts, tmp_path: Path) -> None:
    _, key = accounts.open().keys.create("ops", [Scope.READ])
    overseers = Overseers(OPERATOR, accounts)
    accounts.open()._database.close()
    (tmp_path / "a.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError):
        overseers(key)
    assert overseers(OPERATOR)


def test_a_key_is_needed_where_the_api_needs_one(accounts: LazyAccounts, nowhere: LazyAccounts) -> None:
    assert Overseers(OPERATOR, nowhere).needed(AuthMode.OFF)
    assert Overseers(OPERATOR, nowhere).needed(AuthMode.AUTO)
    assert Overseers(None, nowhere).needed(AuthMode.REQUIRED)
    assert not Overseers(None, nowhere).needed(AuthMode.AUTO)
    assert not Overseers(None, accounts).needed(AuthMode.AUTO)
    accounts.open().keys.create("ops", [Scope.READ])
    assert Overseers(None, accounts).needed(AuthMode.AUTO)
    assert not Overseers(None, accounts).needed(AuthMode.OFF)
