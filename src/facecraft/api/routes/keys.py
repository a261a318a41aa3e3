"""The API keys of the caller, for programs."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import Response

from facecraft.api.callers.access import ACCOUNT
from facecraft.api.callers.accounts import KeyRecord, KeysPage, MadeKey, NewKey
from facecraft.api.callers.owners import AccountsOf, SignedInOf, UserOf
from facecraft.errors import InvalidOptionError

router = APIRouter(prefix=f"{ACCOUNT}/keys", tags=["account"])


@router.post("", status_code=201, summary="Make an API key")
async def create_key(body: NewKey, caller: SignedInOf, accounts: AccountsOf) -> MadeKey:
    """Make a key that acts for the caller. The key itself is shown this once."""
    if body.expires_at is not None and body.expires_at.tzinfo is None:
        raise InvalidOptionError("The time of expiry needs a zone, such as 2030-01-01T00:00:00Z.")
    user_id = str(caller.user_id)
    made, secret = await anyio.to_thread.run_sync(
        lambda: accounts.keys.create(body.name, body.scopes, user_id=user_id, expires_at=body.expires_at)
    )
    return MadeKey.made(made, secret)


@router.get("", summary="List the own API keys")
async def list_keys(user_id: UserOf, accounts: AccountsOf) -> KeysPage:
    """Answer all keys of the caller, the oldest first, without their secrets."""
    found = await anyio.to_thread.run_sync(accounts.keys.browse, user_id)
    return KeysPage(items=tuple(map(KeyRecord.of, found)))


@router.delete("/{key_id}", status_code=204, summary="Revoke an API key", response_class=Response)
async def revoke_key(key_id: str, caller: SignedInOf, accounts: AccountsOf) -> None:
    """Delete the key: it opens nothing any more."""
    user_id = str(caller.user_id)
    await anyio.to_thread.run_sync(lambda: accounts.keys.revoke(key_id, user_id=user_id))
