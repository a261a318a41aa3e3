"""What the commands over the database share: their group, and the studio of the settings, opened and closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from facecraft.cli.pictures import configure_log
from facecraft.jobs.opening import Jobs
from facecraft.memory import keep_freed_memory
from facecraft.settings import Settings
from facecraft.studio import Studio
from facecraft.studio.accounts import accounts_for

if TYPE_CHECKING:
    from facecraft.accounts.accounts import Accounts


def group(name: str, purpose: str, commands: Mapping[str, Callable[..., None]]) -> typer.Typer:
    """Return a group of ``commands`` by their words."""
    application = typer.Typer(
        name=name, no_args_is_help=True, add_completion=False, rich_markup_mode="rich", help=purpose
    )
    for word, body in commands.items():
        application.command(word)(body)
    return application


@contextmanager
def opened_studio(ctx: typer.Context) -> Iterator[Studio]:
    """Open the studio of the settings until the block ends. Raises ConfigurationError."""
    settings = Settings.load()
    configure_log(settings, debug=ctx.obj.debug)
    keep_freed_memory()
    with Studio.open(settings) as studio:
        yield studio


@contextmanager
def opened_jobs(ctx: typer.Context) -> Iterator[Jobs]:
    """Open the jobs of the database of the settings until the block ends. Raises ConfigurationError, StorageError."""
    with opened_studio(ctx) as studio:
        yield studio.jobs


@contextmanager
def opened_accounts(ctx: typer.Context) -> Iterator[Accounts]:
    """Open the accounts of that database until the block ends. Raises ConfigurationError, StorageError."""
    with opened_studio(ctx) as studio:
        lazy = accounts_for(studio.settings, studio)
        try:
            yield lazy.open()
        finally:
            lazy.close()
