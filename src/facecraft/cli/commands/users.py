"""``facecraft users``: who has an account on this machine's server."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from facecraft.accounts.records import LONGEST_PASSWORD, Role, User, check_password
from facecraft.cli.console import result, say, table
from facecraft.cli.opening import group, opened_accounts
from facecraft.errors import EmailTakenError, FacecraftError, InvalidOptionError, UserNotFoundError
from facecraft.wording import counted

if TYPE_CHECKING:
    from facecraft.accounts.accounts import Accounts

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The email of the user.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin, and do not ask.")
]


def build(name: str) -> typer.Typer:
    """Build the group of commands."""
    return group(
        name,
        "Make, list, lock out and delete the users of the server.",
        {
            "create": _create,
            "list": _list,
            "disable": _disable,
            "enable": _enable,
            "delete": _delete,
            "set-role": _set_role,
            "reset-password": _reset_password,
        },
    )


def user_of(accounts: Accounts, email: str) -> User:
    """Return the user with ``email``. Raises UserNotFoundError."""
    found = accounts.users.find(email)
    if found is None:
        raise UserNotFoundError(hint="See `facecraft users list`.")
    return found


def _create(
    ctx: typer.Context,
    email: Email,
    *,
    admin: Annotated[bool, typer.Option("--admin", help="Let the user manage other users.")] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Give the user everything that was kept while there were no users.")
    ] = False,
    password_stdin: FromStdin = False,
) -> None:
    """Make a user and print the id. From then on the server wants everybody to say who they are."""
    with opened_accounts(ctx) as accounts:
        try:
            made = accounts.users.create(email, _password(from_stdin=password_stdin), role=_role(admin=admin))
        except EmailTakenError as error:
            hint = "See `facecraft users list`; `facecraft users reset-password EMAIL` gives a new password."
            raise EmailTakenError(hint=hint) from error
        try:
            moved = accounts.adopt(made.id) if adopt else {}
        except FacecraftError:
            accounts.users.take_back(made.id)  # or it could never be made with all of that
            raise
    result(made.id)
    say(f"made the {made.role} {made.email}")
    if adopt:
        told = ", ".join(f"{name.replace('_', ' ')} ({count})" for name, count in moved.items())
        say(f"handed over: {told or 'nothing was there'}")


def _list(ctx: typer.Context) -> None:
    """List the users, the oldest first."""
    rows: list[tuple[str, ...]] = []
    with opened_accounts(ctx) as accounts:
        cursor: str | None = None
        while True:
            page = accounts.users.browse(cursor=cursor, limit=200)
            rows += [_row(user) for user in page.items]
            cursor = page.cursor
            if cursor is None:
                break
    table(("email", "role", "state", "last signed in", "id"), rows)
    say(counted(len(rows), "user"))


def _row(user: User) -> tuple[str, ...]:
    seen = "never" if user.signed_in_at is None else f"{user.signed_in_at:%Y-%m-%d %H:%M}"
    return user.email, user.role, "active" if user.disabled_at is None else "disabled", seen, user.id


def _disable(ctx: typer.Context, email: Email) -> None:
    """Lock a user out: sessions end, keys stop working, nothing is deleted."""
    with opened_accounts(ctx) as accounts:
        user = accounts.users.set_disabled(user_of(accounts, email).id, disabled=True)
    say(f"{user.email} is locked out")


def _enable(ctx: typer.Context, email: Email) -> None:
    """Let a user in again."""
    with opened_accounts(ctx) as accounts:
        user = accounts.users.set_disabled(user_of(accounts, email).id, disabled=False)
    say(f"{user.email} may sign in")


def _delete(
    ctx: typer.Context,
    email: Email,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a user with everything that belongs to that user, for good."""
    with opened_accounts(ctx) as accounts:
        user = user_of(accounts, email)
        if not yes:
            typer.confirm(f"Delete {user.email} and all that belongs to this user?", abort=True, err=True)
        accounts.users.delete(user.id)
    say(f"deleted {user.email}")


def _set_role(
    ctx: typer.Context, email: Email, role: Annotated[Role, typer.Argument(help="What the user may do to others.")]
) -> None:
    """Make a user an admin, or no admin any more."""
    with opened_accounts(ctx) as accounts:
        user = accounts.users.set_role(user_of(accounts, email).id, role)
    say(f"{user.email} is now {user.role}")


def _reset_password(
    ctx: typer.Context,
    email: Email,
    *,
    password_stdin: FromStdin = False,
    revoke_keys: Annotated[bool, typer.Option("--revoke-keys", help="Revoke all API keys of the user, too.")] = False,
) -> None:
    """Give a user a new password. All sessions of the user end; API keys stay, unless told otherwise."""
    with opened_accounts(ctx) as accounts:
        user = user_of(accounts, email)
        accounts.users.set_password(user.id, _password(from_stdin=password_stdin), revoke_keys=revoke_keys)
    say(f"{user.email} has a new password{' and no API keys' if revoke_keys else ''}")


def _role(*, admin: bool) -> Role:
    return Role.ADMIN if admin else Role.USER


def _password(*, from_stdin: bool) -> str:
    """Read a password, twice at a terminal, never from an argument: others see those. Raises InvalidOptionError."""
    if from_stdin:
        return sys.stdin.readline(LONGEST_PASSWORD + 2).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InvalidOptionError("There is no terminal to ask for the password.", hint="Use --password-stdin.")
    first = getpass.getpass("Password: ")
    try:
        check_password(first)
    except ValueError as error:
        raise InvalidOptionError(f"Please {error}.") from error
    if getpass.getpass("Once more: ") != first:
        raise InvalidOptionError("The two passwords differ.")
    return first
