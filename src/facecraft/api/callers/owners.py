"""Who calls, and to whom belongs what they keep here.

These are coroutines although nothing in them waits: the framework would send functions to a thread each, and those may
all be taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import anyio.to_thread
from fastapi import Depends, Request

from facecraft.accounts.records import Caller, Role, Scope
from facecraft.api.callers.access import Gate
from facecraft.errors import ForbiddenError, UnauthenticatedError

if TYPE_CHECKING:
    from facecraft.accounts.accounts import Accounts


async def caller_of(request: Request) -> Caller:
    """Return who calls, as the layer in front of all routes found out."""
    caller: Caller = request.state.caller
    return caller


CallerOf = Annotated[Caller, Depends(caller_of)]


async def owner_of(caller: CallerOf) -> str | None:
    """Return the owner that the caller acts for; None is the one owner of what anonymous callers and operators keep."""
    return caller.owner


OwnerOf = Annotated[str | None, Depends(owner_of)]


async def user_of(caller: CallerOf) -> str:
    """Return the id of the user who calls. Raises UnauthenticatedError, ForbiddenError for keys without a user."""
    if caller.is_anonymous:
        raise UnauthenticatedError
    if caller.user_id is None:
        raise ForbiddenError("This key belongs to no user.", hint="Sign in, or use a key of a user.")
    return caller.user_id


UserOf = Annotated[str, Depends(user_of)]


async def signed_in_of(caller: CallerOf, _: UserOf) -> Caller:
    """Return a caller who is signed in: a key may not change how its user gets in. Raises ForbiddenError."""
    if caller.session_id is None:
        raise ForbiddenError("An API key may not do this.", hint="Sign in and send the access token.")
    return caller


SignedInOf = Annotated[Caller, Depends(signed_in_of)]


async def require_admin(caller: CallerOf) -> Caller:
    """Return a caller who may manage users. Raises UnauthenticatedError, ForbiddenError."""
    if caller.is_anonymous:
        raise UnauthenticatedError
    if caller.role is not Role.ADMIN or Scope.ADMIN not in caller.scopes:
        raise ForbiddenError("Only admins may do this.")
    return caller


AdminOf = Annotated[Caller, Depends(require_admin)]


async def require_overseer(caller: CallerOf) -> Caller:
    """Return a caller who may see what all callers together do. Raises ForbiddenError."""
    if not caller.sees_everything:
        raise ForbiddenError("Only the operator may see this.", hint="Use the operator's key, or the key of an admin.")
    return caller


OverseerOf = Annotated[Caller, Depends(require_overseer)]


async def gate_of(request: Request) -> Gate:
    """Return what lets callers in."""
    gate: Gate = request.app.state.gate
    return gate


GateOf = Annotated[Gate, Depends(gate_of)]


async def accounts_of(gate: GateOf) -> Accounts:
    """Return the accounts, opened."""
    opened = gate.accounts.opened
    return opened if opened is not None else await anyio.to_thread.run_sync(gate.accounts.open)


AccountsOf = Annotated["Accounts", Depends(accounts_of)]
