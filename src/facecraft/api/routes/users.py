"""All users, for admins."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import Response

from facecraft.accounts.records import User
from facecraft.api.callers.access import USERS
from facecraft.api.callers.accounts import NewUser, UserChange, UserRecord, UsersPage
from facecraft.api.callers.owners import AccountsOf, AdminOf, GateOf
from facecraft.api.requests.paging import Cursor, Limit
from facecraft.errors import ForbiddenError

router = APIRouter(prefix=USERS, tags=["users"])


@router.get("", summary="List the users")
async def list_users(_: AdminOf, accounts: AccountsOf, cursor: Cursor = None, limit: Limit = 50) -> UsersPage:
    """Answer one page, the oldest first. For admins."""
    page = await anyio.to_thread.run_sync(lambda: accounts.users.browse(cursor=cursor, limit=limit))
    return UsersPage(items=tuple(map(UserRecord.of, page.items)), cursor=page.cursor)


@router.post("", status_code=201, summary="Make a user")
async def create_user(body: NewUser, _: AdminOf, gate: GateOf, accounts: AccountsOf) -> UserRecord:
    """Make an account for somebody else. For admins."""
    password, profile = body.password.get_secret_value(), body.profile
    made = await gate.hash(lambda: accounts.users.create(body.email, password, role=body.role, profile=profile))
    return UserRecord.of(made)


@router.get("/{user_id}", summary="Show a user")
async def get_user(user_id: str, _: AdminOf, accounts: AccountsOf) -> UserRecord:
    """Answer what is known of one user. For admins."""
    return UserRecord.of(await anyio.to_thread.run_sync(accounts.users.get, user_id))


@router.patch("/{user_id}", summary="Change a user")
async def change_user(user_id: str, body: UserChange, caller: AdminOf, accounts: AccountsOf) -> UserRecord:
    """Give another role, lock out or let in again. For admins, and not for the own account."""
    _not_oneself(user_id, caller.user_id)

    def work() -> User:
        if body.role is not None:
            accounts.users.set_role(user_id, body.role, keep_admin=True)
        if body.disabled is not None:
            accounts.users.set_disabled(user_id, disabled=body.disabled, keep_admin=True)
        return accounts.users.get(user_id)

    return UserRecord.of(await anyio.to_thread.run_sync(work))


@router.delete("/{user_id}", status_code=204, summary="Delete a user", response_class=Response)
async def delete_user(user_id: str, caller: AdminOf, accounts: AccountsOf) -> None:
    """Delete a user with all that belongs to that user, for good. For admins, and not for the own account."""
    _not_oneself(user_id, caller.user_id)
    await anyio.to_thread.run_sync(lambda: accounts.users.delete(user_id, keep_admin=True))


def _not_oneself(user_id: str, own: str | None) -> None:
    """So that one admin is left in the end."""
    if own is not None and user_id.lower() == own:
        raise ForbiddenError("Admins cannot do this to themselves.", hint="Ask another admin.")
