"""``facecraft migrate``: the tables of the database as this version needs them."""

from __future__ import annotations

from typing import Annotated

import typer

from facecraft.cli.console import say
from facecraft.cli.pictures import configure_log
from facecraft.db.opening import connect_database
from facecraft.settings import Settings

Check = Annotated[bool, typer.Option("--check", help="Change nothing; fail unless the database is at this version.")]


def build(name: str) -> typer.Typer:
    """Build the command."""
    application = typer.Typer(add_completion=False, rich_markup_mode="rich")
    application.command(name)(_migrate)
    return application


def _migrate(ctx: typer.Context, *, check: Check = False) -> None:
    """Bring the database of FACECRAFT_DATABASE_URL to this version. Safe to run again, and twice at once."""
    settings = Settings.load()
    configure_log(settings, debug=ctx.obj.debug)
    with connect_database(settings.database) as database:
        before = None if check else database.revision()
        if not check:
            database.migrate()
        database.check()
        now = database.revision()
    where = "Postgres" if settings.database_file is None else str(settings.database_file)
    if check or before == now:
        done = (
            f"The database is at revision {now}, the one of this version{'' if check else ': there was nothing to do'}."
        )
    elif before is None:
        done = f"The tables were made, at revision {now}."
    else:
        done = f"The database was brought from revision {before} to {now}."
    say(f"{done} ({where})", style="green")
