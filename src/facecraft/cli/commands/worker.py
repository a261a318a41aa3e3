"""``facecraft worker``: runs jobs from the broker, in the foreground."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from facecraft import telemetry
from facecraft.cli.console import say
from facecraft.db.opening import connect_database, open_database
from facecraft.errors import ConfigurationError, FacecraftError, RuntimeMissingError, StorageError
from facecraft.jobs.broker import no_broker
from facecraft.settings import Settings

_EXTRAS = {"server": ("sqlalchemy", "alembic"), "scale": ("celery", "kombu", "redis"), "postgres": ("psycopg",)}
"""What workers import, by the extra that brings it."""

Queues = Annotated[
    str,
    typer.Option("--queues", "-Q", metavar="NAMES", help="Queues to work off, divided by commas: gpu, render, celery."),
]
Concurrency = Annotated[
    int, typer.Option("--concurrency", "-c", min=1, max=256, help="Jobs at the same time. One for each GPU is best.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", min=1, help="Threads of one network on the CPU; 1 is best where several workers share the cores."
    ),
]
Check = Annotated[
    bool, typer.Option("--check", help="Start nothing; fail unless a worker of this machine was heard of lately.")
]


def build(name: str) -> typer.Typer:
    """Build the command."""
    application = typer.Typer(add_completion=False, rich_markup_mode="rich")
    application.command(name)(_worker)
    return application


def _worker(
    ctx: typer.Context,
    *,
    queues: Queues = "gpu,celery",
    concurrency: Concurrency = 1,
    threads: Threads = None,
    check: Check = False,
) -> None:
    """Run jobs of the broker FACECRAFT_CELERY_BROKER_URL until SIGTERM. Every FACECRAFT_* setting applies.

    A worker that is told to stop takes up nothing more, ends what it can within 20 seconds and gives the rest back.
    """
    settings = Settings.load()
    telemetry.configure(
        level="DEBUG" if ctx.obj.debug or settings.debug else settings.log_level, json=settings.log_json
    )
    if check:
        _check(settings)
        return
    _refuse_what_cannot_work(settings)
    # Loads the studio and Celery.
    from facecraft.worker import work  # noqa: PLC0415

    names = [name.strip() for name in queues.split(",") if name.strip()]
    raise typer.Exit(work(settings, queues=names, places=concurrency, threads=threads))


def _check(settings: Settings) -> None:
    """Say which workers of this machine live, for the health check of a container: it loads no more than that needs."""
    absent = _absent(settings)
    if absent is not None:
        raise absent
    from facecraft.db.clock import DatabaseClock  # noqa: PLC0415 - needs the database packages
    from facecraft.jobs.workers import Workers  # noqa: PLC0415

    with connect_database(settings.database) as database:
        found = Workers(database, clock=DatabaseClock(database)).here("celery")
    if not found:
        say("No worker of this machine without a job that is stuck was heard of in the last 30 seconds.", style="red")
        raise typer.Exit(1)
    for each in found:
        say(f"Worker {each.id}: {each.busy} of {each.places} places busy, seen {each.seen_at:%H:%M:%S} UTC.")
    deaf = [each for each in found if each.deaf_since is not None]
    for each in deaf:
        say(f"Worker {each.id} has taken nothing since {each.deaf_since:%H:%M:%S} UTC though jobs wait.", style="red")
    if deaf:
        raise typer.Exit(1)


def _refuse_what_cannot_work(settings: Settings) -> None:
    """Raise one error that names all that a worker lacks before it can start, whatever else may go wrong later."""
    broker = no_broker() if settings.celery_broker_url is None else None
    found = [each for each in (broker, _absent(settings) or _tables(settings)) if each is not None]
    if len(found) == 1:
        raise found[0]
    if found:
        hints = [each.hint for each in found if each.hint is not None]
        raise ConfigurationError(" ".join(each.message for each in found), hint=" ".join(hints))


def _absent(settings: Settings) -> FacecraftError | None:
    """Return which packages are missing, and what follows once they are there."""
    served = settings.database_file is None
    wanted = [extra for extra in _EXTRAS if served or extra != "postgres"]
    names = {extra: [name for name in _EXTRAS[extra] if find_spec(name) is None] for extra in wanted}
    extras = [extra for extra in wanted if names[extra]]
    if not extras:
        return None
    packages = ", ".join(name for extra in extras for name in names[extra])
    # Without them nobody can look whether the tables are there.
    then = "." if settings.migrates else ", then facecraft migrate."
    return RuntimeMissingError(
        f"What workers need is not installed: {packages}.", hint=f"pip install 'facecraft[{','.join(extras)}]'{then}"
    )


def _tables(settings: Settings) -> FacecraftError | None:
    """Return why the tables of a database that others migrate cannot be used."""
    if settings.migrates:
        return None
    try:
        open_database(settings.database, migrate=False).close()
    except ConfigurationError as error:
        return error
    except StorageError:
        return None  # it is away: the worker says so when it opens it
    return None
