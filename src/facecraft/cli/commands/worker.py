"""``facecraft worker``: runs jobs from the broker, in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from facecraft import telemetry
from facecraft.cli.console import say
from facecraft.db.opening import connect_database
from facecraft.errors import RuntimeMissingError
from facecraft.settings import Settings

_PACKAGES = ("sqlalchemy", "celery", "redis", "kombu")

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
    try:
        # Loads the studio and Celery.
        from facecraft.worker import work  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    names = [name.strip() for name in queues.split(",") if name.strip()]
    raise typer.Exit(work(settings, queues=names, places=concurrency, threads=threads))


def _check(settings: Settings) -> None:
    """Say which workers of this machine live, for the health check of a container: it loads no more than that needs."""
    try:
        from facecraft.db.clock import DatabaseClock  # noqa: PLC0415 - needs the database packages
        from facecraft.jobs.workers import Workers  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    with connect_database(settings.database) as database:
        found = Workers(database, clock=DatabaseClock(database)).here("celery")
    if not found:
        say("No worker of this machine without a job that is stuck was heard of in the last 30 seconds.", style="red")
        raise typer.Exit(1)
    for each in found:
        say(f"Worker {each.id}: {each.busy} of {each.places} places busy, seen {each.seen_at:%H:%M:%S} UTC.")


def _missing(error: ModuleNotFoundError) -> Exception:
    if error.name is None or error.name.partition(".")[0] not in _PACKAGES:
        return error
    return RuntimeMissingError(
        "What workers need is not installed.", hint="pip install 'facecraft[server,scale]'", detail=str(error)
    )
