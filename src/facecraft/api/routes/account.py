"""The caller's own account."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from facecraft.accounts.records import Profile
from facecraft.api.callers.access import ACCOUNT
from facecraft.api.callers.accounts import Farewell, PasswordChange, SessionRecord, SessionsPage, UserRecord
from facecraft.api.callers.owners import AccountsOf, GateOf, SignedInOf, UserOf

router = APIRouter(prefix=ACCOUNT, tags=["account"])


@router.get("/profile", summary="Show the own account")
async def get_profile(user_id: UserOf, accounts: AccountsOf) -> UserRecord:
    """Answer what is known of the caller."""
    return UserRecord.of(await anyio.to_thread.run_sync(accounts.users.get, user_id))


@router.put("/profile", summary="Change the own account")
async def change_profile(body: Profile, user_id: UserOf, accounts: AccountsOf) -> UserRecord:
    """Change what is sent and leave the rest. Empty names are ignored; null clears the other fields."""
    return UserRecord.of(await anyio.to_thread.run_sync(accounts.users.change_profile, user_id, body))


@router.post("/password", status_code=204, summary="Change the password", response_class=Response)
async def change_password(
    request: Request, body: PasswordChange, caller: SignedInOf, gate: GateOf, accounts: AccountsOf
) -> None:
    """Replace the password. All other sessions end; this one stays. API keys stay, too, unless `revokeKeys` is true."""
    await gate.attempt(request.scope)
    user_id, session_id = str(caller.user_id), caller.session_id
    old, new = body.old_password.get_secret_value(), body.new_password.get_secret_value()
    await gate.hash(
        lambda: accounts.users.change_password(user_id, old, new, session_id=session_id, revoke_keys=body.revoke_keys)
    )


@router.delete("", status_code=204, summary="Delete the own account", response_class=Response)
async def delete_account(
    request: Request, body: Farewell, caller: SignedInOf, gate: GateOf, accounts: AccountsOf
) -> None:
    """Delete the account with all that belongs to it, for good. Not the last admin, while there are other users."""
    await gate.attempt(request.scope)
    user_id, password = str(caller.user_id), body.password.get_secret_value()
    await gate.hash(lambda: accounts.users.confirm(user_id, password))
    await anyio.to_thread.run_sync(lambda: accounts.users.delete(user_id, keep_admin=True))


@router.get("/sessions", summary="List where the user is signed in")
async def list_sessions(caller: SignedInOf, accounts: AccountsOf) -> SessionsPage:
    """Answer all sessions, the oldest first."""
    found = await anyio.to_thread.run_sync(accounts.sessions.browse, str(caller.user_id))
    return SessionsPage(items=tuple(SessionRecord.of(session, caller.session_id) for session in found))


@router.delete("/sessions/{session_id}", status_code=204, summary="End a session", response_class=Response)
async def end_session(session_id: str, caller: SignedInOf, accounts: AccountsOf) -> None:
    """Sign out elsewhere: none of that session's tokens works any more."""
    user_id = str(caller.user_id)
    await anyio.to_thread.run_sync(lambda: accounts.sessions.end(session_id, user_id=user_id))
