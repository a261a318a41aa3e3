"""``facecraft keys``: API keys for programs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from facecraft.accounts.records import ApiKey, Scope, now
from facecraft.cli.commands.users import user_of
from facecraft.cli.console import result, say, table
from facecraft.cli.opening import group, opened_accounts
from facecraft.wording import counted


def build(name: str) -> typer.Typer:
    """Build the group of commands."""
    return group(name, "Make, list and revoke API keys.", {"create": _create, "list": _list, "revoke": _revoke})


def _create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    *,
    scope: Annotated[
        list[Scope], typer.Option("--scope", help="What may be done with it; give it several times for several.")
    ] = [Scope.READ, Scope.WRITE],  # noqa: B006 - the library copies it
    user: Annotated[
        str | None,
        typer.Option(
            "--user", metavar="EMAIL", help="Whose key it is. Absent: the operator's, who owns what is nobody's."
        ),
    ] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, max=3650, help="Days until it stops working.")] = None,
) -> None:
    """Make a key and print it. It cannot be shown again."""
    expires = None if days is None else now() + timedelta(days=days)
    with opened_accounts(ctx) as accounts:
        owner = None if user is None else user_of(accounts, user).id
        made, secret = accounts.keys.create(name, scope, user_id=owner, expires_at=expires)
    result(secret)
    say(f"made the key {made.name} ({', '.join(sorted(made.scopes))}) with the id {made.id}; keep it, it is shown once")


def _list(ctx: typer.Context) -> None:
    """List all keys, the oldest first, without their secrets."""
    with opened_accounts(ctx) as accounts:
        found = accounts.keys.browse_all()
        emails = {key.user_id: accounts.users.get(key.user_id).email for key in found if key.user_id}
    rows = [_row(key, "the operator" if key.user_id is None else emails[key.user_id]) for key in found]
    table(("id", "name", "of", "scopes", "last used", "expires"), rows)
    say(counted(len(rows), "key"))


def _row(key: ApiKey, owner: str) -> tuple[str, ...]:
    used = "never" if key.used_at is None else f"{key.used_at:%Y-%m-%d %H:%M}"
    expires = "never" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d}"
    return key.id, key.name, owner, ",".join(sorted(key.scopes)), used, expires


def _revoke(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The id of a key; see the command list.")],
) -> None:
    """Delete a key: it opens nothing any more. A running server notices within a few seconds."""
    with opened_accounts(ctx) as accounts:
        accounts.keys.revoke_any(key)
    say("revoked")
