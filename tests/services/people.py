"""Servers with users for tests: accounts are made beside the server, with cheap hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from facecraft.accounts.accounts import Accounts
from facecraft.accounts.passwords import Passwords
from facecraft.accounts.records import Role, Scope, User
from facecraft.db.opening import open_database
from facecraft.settings import Settings

SECRET = "5f2c8e1b9a7d4063b1e8c2f7a9d05e34"
PASSWORD = "correct horse"


@dataclass(frozen=True)
class Person:
    """A user with a client that is signed in."""

    user: User
    client: httpx.Client
    token: str


@contextmanager
def accounts_of(settings: Settings) -> Iterator[Accounts]:
    """Open the accounts of the database in ``settings``, as the command line does beside a running server."""
    cheap = Passwords(time_cost=1, memory_kib=8, parallelism=1)
    with open_database(settings.database, migrate=True) as database:
        accounts = Accounts(database, settings, lambda: SECRET, passwords=cheap)
        try:
            yield accounts
        finally:
            accounts.close()


@contextmanager
def signed_in(door: Any, email: str, *, role: Role = Role.USER) -> Iterator[Person]:
    """Make a user and yield it with a client that sends its token."""
    with accounts_of(door.settings) as accounts:
        user = accounts.users.create(email, PASSWORD, role=role)
        token = accounts.sessions.open(user).access_token
    with httpx.Client(
        base_url=door.client.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=60
    ) as client:
        yield Person(user, client, token)


def key_for(door: Any, *scopes: Scope, user: User | None = None) -> str:
    """Make an API key."""
    with accounts_of(door.settings) as accounts:
        return accounts.keys.create("test", scopes, user_id=None if user is None else user.id)[1]


Open = Callable[..., Any]
