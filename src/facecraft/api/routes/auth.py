"""Signing in and out, and the way back in."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from facecraft.api.callers.access import AUTH
from facecraft.api.callers.accounts import Forgotten, Login, NewPassword, Refresh, Signup, Tokens
from facecraft.api.callers.owners import AccountsOf, GateOf, SignedInOf

router = APIRouter(prefix=AUTH, tags=["auth"])

Agent = Annotated[str | None, Header(alias="User-Agent", include_in_schema=False)]


@router.post("/signup", status_code=201, summary="Make an account")
async def sign_up(request: Request, body: Signup, gate: GateOf, accounts: AccountsOf, agent: Agent = None) -> Tokens:
    """Make an account and sign in, where the operator allows it with FACECRAFT_SIGNUP_ENABLED."""
    await gate.attempt(request.scope, body.email)
    password, profile = body.password.get_secret_value(), body.profile
    return Tokens.of(await gate.hash(lambda: accounts.sign_up(body.email, password, profile, agent=agent)))


@router.post("/login", summary="Sign in")
async def sign_in(request: Request, body: Login, gate: GateOf, accounts: AccountsOf, agent: Agent = None) -> Tokens:
    """Open a session. The access token goes with every call; the refresh token is sent to /auth/refresh only."""
    await gate.attempt(request.scope, body.email)
    password = body.password.get_secret_value()
    return Tokens.of(await gate.hash(lambda: accounts.sessions.sign_in(body.email, password, agent=agent)))


@router.post("/refresh", summary="Get new tokens")
async def refresh(request: Request, body: Refresh, gate: GateOf, accounts: AccountsOf) -> Tokens:
    """Replace both tokens. A refresh token is good for one use: when it comes again, the whole session ends.

    Only within the seconds of FACECRAFT_REFRESH_GRACE_SECONDS it is answered again, with tokens of the same session."""
    token = body.refresh_token.get_secret_value()
    await gate.attempt_refresh(request.scope, await anyio.to_thread.run_sync(accounts.sessions.of, token))
    return Tokens.of(await anyio.to_thread.run_sync(accounts.sessions.refresh, token))


@router.post("/logout", status_code=204, summary="Sign out", response_class=Response)
async def sign_out(caller: SignedInOf, accounts: AccountsOf) -> None:
    """End the session that the access token belongs to: none of its tokens works any more."""
    session_id, user_id = str(caller.session_id), str(caller.user_id)
    await anyio.to_thread.run_sync(lambda: accounts.sessions.end(session_id, user_id=user_id))


@router.post("/forgot-password", status_code=202, summary="Ask for a new password", response_class=Response)
async def forgot_password(request: Request, body: Forgotten, gate: GateOf, accounts: AccountsOf) -> None:
    """Mail a token to that address when it has an account. The answer is the same when it has none."""
    await gate.attempt(request.scope, body.email)
    accounts.resets.ask(body.email)


@router.post("/reset-password", status_code=204, summary="Choose a new password", response_class=Response)
async def reset_password(request: Request, body: NewPassword, gate: GateOf, accounts: AccountsOf) -> None:
    """Replace the password with the token of the mail, which works once within an hour. All sessions end.

    API keys stay unless `revokeKeys` is true."""
    await gate.attempt(request.scope)
    token, password = body.token.get_secret_value(), body.password.get_secret_value()
    await gate.hash(lambda: accounts.resets.redeem(token, password, revoke_keys=body.revoke_keys))
