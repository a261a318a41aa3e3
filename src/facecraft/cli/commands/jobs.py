"""``facecraft jobs``: what waits, runs and has ended, in the database of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer
from pydantic import TypeAdapter

from facecraft.cli.console import result, say, table
from facecraft.cli.opening import group, opened_jobs
from facecraft.db.listing import Listing
from facecraft.jobs.job import EVERYBODY, Event, Item, Job, JobState, Owner
from facecraft.jobs.opening import Jobs
from facecraft.wording import counted

Id = Annotated[str, typer.Argument(metavar="ID", help="The id of a job; see the command list.")]
All = Annotated[bool, typer.Option("--all", help="The jobs of every user, not only those of anonymous callers.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

_DASH = "–"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a job made."""

    name: str
    media_type: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Story:
    """A job with everything that belongs to it."""

    job: Job
    position: int | None
    """Its place in the queue: 1 is next."""
    items: tuple[Item, ...]
    artifacts: tuple[Artifact, ...]
    events: tuple[Event, ...]


def build(name: str) -> typer.Typer:
    """Build the group of commands."""
    return group(
        name,
        "See, cancel, retry and delete the jobs of the server.",
        {"list": _list, "show": _show, "cancel": _cancel, "retry": _retry, "delete": _delete},
    )


def _list(
    ctx: typer.Context,
    *,
    state: Annotated[
        list[JobState] | None, typer.Option("--state", help="Only jobs in this state; repeatable.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Only jobs that do this: portrait, cutout …")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="Most jobs of the page.")] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", help="From the page before; absent for the first.")] = None,
    everybody: All = False,
    as_json: Json = False,
) -> None:
    """List jobs, the newest first."""
    with opened_jobs(ctx) as jobs:
        page = jobs.repository.list(_owner(everybody), states=state or (), name=name, cursor=cursor, limit=limit)
        alone = not (page.items or everybody or cursor)
        others = alone and jobs.repository.list(EVERYBODY, states=state or (), name=name, limit=1).items
    if as_json:
        result(TypeAdapter(Listing[Job]).dump_json(page, indent=2).decode())
        return
    columns = ("id", "name", "state", "#done", "stage", "#pictures", "#failed", "#attempt", "created")
    rows = [(*_cells(job), *((job.owner or _DASH,) if everybody else ())) for job in page.items]
    table((*columns, "owner") if everybody else columns, rows)
    if page.cursor is not None:
        say(f"There are more: --cursor {page.cursor}")
    if others:
        say("Only users have such jobs: see them with --all.")


def _show(ctx: typer.Context, job_id: Id, *, everybody: All = False, as_json: Json = False) -> None:
    """Show a job with its pictures, its files and what happened to it."""
    with opened_jobs(ctx) as jobs:
        job = jobs.repository.get(_owner(everybody), job_id)
        story = Story(
            job,
            jobs.repository.position(job),
            jobs.repository.items(_owner(everybody), job_id),
            tuple(Artifact(blob.name or blob.id, blob.media_type, blob.bytes) for blob in jobs.blobs.artifacts(job.id)),
            _events(jobs, job.id),
        )
    if as_json:
        result(TypeAdapter(Story).dump_json(story, indent=2).decode())
        return
    _tell(story)


def _events(jobs: Jobs, job_id: str) -> tuple[Event, ...]:
    """Return everything that happened to a job: one of a thousand pictures has more than the database tells at once."""
    found: list[Event] = []
    while part := jobs.repository.events(job_id, after=found[-1].number if found else 0):
        found += part
    return tuple(found)


def _tell(story: Story) -> None:
    job = story.job
    facts = {
        "id": job.id,
        "owner": job.owner,
        "name": job.name,
        "state": job.state.value + (" (to be cancelled)" if job.cancel_at is not None and not job.ended else ""),
        "why": None if job.failure is None else f"[{job.failure.code}] {job.failure.message}",
        "hint": None if job.failure is None else job.failure.hint,
        "queue": job.queue if story.position is None else f"{job.queue}, place {story.position}",
        "done": f"{job.fraction:.0%}",
        "stage": job.stage,
        "attempt": str(job.attempt),
        "created": _moment(job.created_at),
        "started": _moment(job.started_at),
        "finished": _moment(job.finished_at),
        "deleted after": _moment(job.expires_at),
    }
    table(("", ""), [(name, value) for name, value in facts.items() if value not in (None, _DASH)])
    for heading, columns, rows in (
        (
            "Pictures",
            ("#position", "name", "state", "why"),
            [
                (str(item.position), item.name or _DASH, item.state.value, item.failure.message if item.failure else "")
                for item in story.items
            ],
        ),
        (
            "Files",
            ("name", "type", "#bytes"),
            [(each.name, each.media_type, str(each.bytes)) for each in story.artifacts],
        ),
        (
            "Events",
            ("#number", "type", "stage", "#done", "when"),
            [
                (
                    str(each.number),
                    each.type,
                    str(each.data.get("stage") or _DASH),
                    f"{float(str(each.data.get('fraction', 0))):.0%}",
                    _moment(each.created_at),
                )
                for each in story.events
            ],
        ),
    ):
        if rows:
            result(f"\n{heading}")
            table(columns, rows)


def _cancel(ctx: typer.Context, job_id: Id, *, everybody: All = False) -> None:
    """Stop a job: at once when it waits, at the next stage or tile when it runs."""
    with opened_jobs(ctx) as jobs:
        job = jobs.repository.cancel(_owner(everybody), job_id)
    say(f"{job.id} is cancelled" if job.ended else f"{job.id} stops at its next stage")


def _retry(ctx: typer.Context, job_id: Id, *, everybody: All = False) -> None:
    """Put what failed or was cancelled of a job into the queue again; a running server or worker takes it up."""
    with opened_jobs(ctx) as jobs:
        job = jobs.repository.retry(_owner(everybody), job_id)
    say(f"{job.id} is {job.state.value}")


def _delete(ctx: typer.Context, job_id: Id, *, everybody: All = False) -> None:
    """Delete a job that does not run with all its files, for good."""
    with opened_jobs(ctx) as jobs:
        owner = _owner(everybody)
        job = jobs.repository.get(owner, job_id)
        files = jobs.repository.delete(owner, job_id)
        jobs.blobs.erase_ids(files)
    say(f"deleted {job.id} with {counted(len(files), 'file')}")


def _owner(everybody: bool) -> Owner:
    return EVERYBODY if everybody else None


def _cells(job: Job) -> tuple[str, ...]:
    return (
        job.id,
        job.name,
        job.state.value,
        f"{job.fraction:.0%}",
        job.stage or _DASH,
        str(job.total),
        str(job.failed),
        str(job.attempt),
        _moment(job.created_at),
    )


def _moment(moment: datetime | None) -> str:
    return _DASH if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
