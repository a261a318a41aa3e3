"""How jobs, their items and their events lie in the database.

Statements that every job needs are prepared once, at import: to build one, and the key under which SQLAlchemy finds
its compiled form, takes longer than SQLite takes to run it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection, Row

from facecraft.db.tables import BLOBS, JOB_EVENTS, JOB_INPUTS, JOB_ITEMS, JOBS
from facecraft.jobs import blob_rows
from facecraft.jobs.job import EVERYBODY, PICTURE, Delay, Event, Failure, Input, Item, Job, JobState, NewJob, Owner
from facecraft.jobs.tasks import TASK, FacesTask, PipelineTask, UnknownTask

AnyRow = Row[Any]

_THIS_JOB: sa.BindParameter[str] = sa.bindparam("the_job")
_THESE_BLOBS: sa.BindParameter[str] = sa.bindparam("the_blobs", expanding=True)
_INSERT_JOB = JOBS.insert().returning(*JOBS.c)
_INSERT_ITEMS = JOB_ITEMS.insert()
_INSERT_INPUTS = JOB_INPUTS.insert()
_INSERT_EVENT = JOB_EVENTS.insert()
_ITEMS = sa.select(JOB_ITEMS).where(JOB_ITEMS.c.job_id == _THIS_JOB).order_by(JOB_ITEMS.c.position)
_END_ITEMS = JOB_ITEMS.update().where(JOB_ITEMS.c.job_id == _THIS_JOB, JOB_ITEMS.c.state == JobState.QUEUED.value)
_END_ITEM = JOB_ITEMS.update().where(
    JOB_ITEMS.c.job_id == _THIS_JOB, JOB_ITEMS.c.position == sa.bindparam("the_position")
)
_SET_EXPIRY = BLOBS.update().where(BLOBS.c.id.in_(_THESE_BLOBS))
_LET_EXPIRE = _SET_EXPIRY.where(blob_rows.unneeded())
_KEEP_LIVING = _SET_EXPIRY.where(BLOBS.c.expires_at > sa.bindparam("the_moment"))
_LET_UPLOADS_EXPIRE = _LET_EXPIRE.where(BLOBS.c.expires_at.is_(None), BLOBS.c.position.is_(None))


def job_of(row: AnyRow) -> Job:
    """Return the job of a row of JOBS."""
    return Job(
        id=row.id,
        owner=row.owner,
        name=row.name,
        queue=row.queue,
        state=JobState(row.state),
        task=_task_of(row),
        timeout_seconds=row.request["timeout_seconds"],
        fraction=row.fraction,
        stage=row.stage,
        attempt=row.attempt,
        failure=failure_of(row.failure),
        total=row.total,
        succeeded=row.succeeded,
        failed=row.failed,
        event_count=row.event_count,
        created_at=row.created_at,
        updated_at=row.updated_at,
        due_at=row.due_at,
        delay=_delay_of(row),
        started_at=row.started_at,
        finished_at=row.finished_at,
        expires_at=row.expires_at,
        cancel_at=row.cancel_at,
    )


def _task_of(row: AnyRow) -> PipelineTask | FacesTask | UnknownTask:
    """Read what a job does. One that cannot be read must hide no others, and stop no worker."""
    try:
        return TASK.validate_python(row.request["task"])
    except ValidationError:
        return UnknownTask(name=row.name, queue=row.queue)


def _delay_of(row: AnyRow) -> Delay | None:
    why = failure_of(row.delayed_by)
    return None if why is None or row.delayed_since is None else Delay(why, row.delayed_since)


def item_of(row: AnyRow) -> Item:
    """Return the item of a row of JOB_ITEMS."""
    return Item(
        position=row.position,
        name=row.name,
        inputs={role: Input(**given) for role, given in row.inputs.items()},
        state=JobState(row.state),
        failure=failure_of(row.failure),
        finished_at=row.finished_at,
    )


def event_of(row: AnyRow) -> Event:
    """Return the event of a row of JOB_EVENTS."""
    return Event(row.number, row.type, row.data, row.created_at)


def failure_of(stored: Mapping[str, str | None] | None) -> Failure | None:
    """Return a stored failure."""
    return None if stored is None else Failure(str(stored["code"]), str(stored["message"]), stored["hint"])


def failure_row(failure: Failure | None) -> dict[str, str | None] | None:
    """Return how ``failure`` is stored."""
    return None if failure is None else asdict(failure)


def belongs(owner: Owner) -> sa.ColumnElement[bool]:
    """Return the condition that a job is of ``owner``."""
    return sa.true() if owner is EVERYBODY else JOBS.c.owner == owner


def insert(connection: Connection, job_id: str, new: NewJob, state: JobState, now: datetime) -> Job:
    """Write a job with its items, and its first event; return it. Items of a job that has ended have ended, too."""
    ended = now if state is not JobState.QUEUED else None
    failures = [item.failure for item in new.items if item.state is JobState.FAILED]
    failed = failures[0] if failures and state is JobState.FAILED else None
    row = connection.execute(
        _INSERT_JOB,
        {
            "id": job_id,
            "owner": new.owner,
            "name": new.task.word,
            "queue": new.task.queue,
            "state": state.value,
            "request": {"task": new.task.model_dump(mode="json"), "timeout_seconds": new.timeout_seconds},
            "fraction": 0.0 if ended is None else 1.0,
            "attempt": 0 if ended is None else 1,
            "failure": failure_row(failed),
            "total": len(new.items),
            "succeeded": len(new.items) - len(failures) if ended else 0,
            "failed": len(failures),
            "event_count": 1,
            "created_at": now,
            "updated_at": now,
            "due_at": now,
            "started_at": ended,
            "finished_at": ended,
        },
    ).one()
    connection.execute(
        _INSERT_ITEMS,
        [
            {
                "job_id": job_id,
                "position": item.position,
                "name": item.name,
                "inputs": {role: asdict(given) for role, given in item.inputs.items()},
                "state": (item.state if item.state is JobState.FAILED else state).value,
                "failure": failure_row(item.failure),
                "finished_at": ended,
            }
            for item in new.items
        ],
    )
    if ended is None:
        hold(connection, job_id, new.items)
    _note(connection, row, state.value, now, {})
    return job_of(row)


def changing(*where: sa.ColumnElement[bool], **computed: sa.ColumnElement[Any]) -> sa.Update:
    """Prepare a change of one job where a condition holds; ``computed`` are columns that the database computes."""
    counted = {"event_count": JOBS.c.event_count + 1, **computed}
    return JOBS.update().where(JOBS.c.id == _THIS_JOB, *where).values(counted).returning(*JOBS.c)


def change(
    connection: Connection,
    statement: sa.Update,
    job_id: str,
    values: Mapping[str, object],
    *,
    event: str,
    now: datetime,
    more: Mapping[str, object] | None = None,
) -> AnyRow | None:
    """Change a job and write down the event; return its new row, or None when the condition does not hold.

    ``statement`` was prepared by :func:`changing`; ``values`` are columns, and what its condition compares with.
    Events of one job are numbered by the job's own row: whoever writes one holds that row until the end of the
    transaction, so that nobody ever sees number 6 before number 5.
    """
    row = connection.execute(statement, {"the_job": job_id, "updated_at": now, **values}).one_or_none()
    if row is not None:
        _note(connection, row, event, now, more or {})
    return row


def _note(connection: Connection, row: AnyRow, event: str, now: datetime, more: Mapping[str, object]) -> None:
    """Write down, as the newest event of a job, how its row is now."""
    data = {
        "state": row.state,
        "fraction": round(row.fraction, 4),
        "stage": row.stage,
        "attempt": row.attempt,
        "total": row.total,
        "succeeded": row.succeeded,
        "failed": row.failed,
        "failure": row.failure,
        "delay": row.delayed_by,
        **more,
    }
    values = {"job_id": row.id, "number": row.event_count, "type": event, "data": data, "created_at": now}
    connection.execute(_INSERT_EVENT, values)


def items_of(connection: Connection, job_id: str) -> tuple[Item, ...]:
    """Return the items of a job in their order."""
    return tuple(item_of(row) for row in connection.execute(_ITEMS, {"the_job": job_id}))


def waiting(items: Sequence[Item]) -> bool:
    """Whether any of ``items`` is still to be done."""
    return any(item.state is JobState.QUEUED for item in items)


def end_items(connection: Connection, job_id: str, state: JobState, failure: Failure | None, now: datetime) -> int:
    """End the items that were not begun with their job; return how many that were."""
    values = {"state": state.value, "failure": failure_row(failure), "finished_at": now}
    return connection.execute(_END_ITEMS, {"the_job": job_id, **values}).rowcount


def end_item(connection: Connection, job_id: str, item: Item) -> None:
    """Write down how an item has ended."""
    values = {"state": item.state.value, "failure": failure_row(item.failure), "finished_at": item.finished_at}
    connection.execute(_END_ITEM, {"the_job": job_id, "the_position": item.position, **values})


def expire_inputs(connection: Connection, items: Sequence[Item], at: datetime | None) -> None:
    """Let what was uploaded for ``items`` alone expire ``at`` that moment; None: keep it."""
    ids = {given.blob_id for item in items for given in item.inputs.values() if given.temporary}
    _expire(connection, _SET_EXPIRY if at is None else _LET_EXPIRE, ids, at)


def expire_picture(connection: Connection, item: Item, at: datetime) -> None:
    """Let the picture that ``item`` is about expire, and keep those that other items of its job may share."""
    given = item.inputs.get(PICTURE)
    _expire(connection, _LET_EXPIRE, {given.blob_id} if given is not None and given.temporary else set(), at)


def keep_inputs(connection: Connection, job_id: str, items: Sequence[Item], now: datetime) -> None:
    """Keep every upload that ``items`` of a job need and that is still there, until somebody lets it expire."""
    expire_inputs(connection, items, None)
    _expire(connection, _KEEP_LIVING, shared(items), None, the_moment=now)
    hold(connection, job_id, items)


def hold(connection: Connection, job_id: str, items: Sequence[Item]) -> None:
    """Write down which files a job shares with others, so that none of these lets them expire."""
    needed = [{"job_id": job_id, "blob_id": blob_id} for blob_id in sorted(shared(items))]
    if needed:
        connection.execute(_INSERT_INPUTS, needed)


def release_inputs(connection: Connection, job_id: str, items: Sequence[Item], at: datetime | None) -> None:
    """Let uploads that jobs of the same caller share expire ``at`` that moment unless they do so by themselves.

    Those that another job still needs are kept for it: the last one lets them go.
    """
    ids = shared(items)
    if ids:
        connection.execute(JOB_INPUTS.delete().where(JOB_INPUTS.c.job_id == job_id))
        blob_rows.lock(connection, BLOBS.c.id.in_(ids))
        _expire(connection, _LET_UPLOADS_EXPIRE, ids, at)


def shared(items: Sequence[Item]) -> set[str]:
    """Return the ids of the files of ``items`` that others may need, too."""
    return {given.blob_id for item in items for given in item.inputs.values() if not given.temporary}


def _expire(
    connection: Connection, statement: sa.Update, ids: set[str], at: datetime | None, **condition: datetime
) -> None:
    for part in blob_rows.batches(sorted(ids)):
        connection.execute(statement, {"the_blobs": part, "expires_at": at, **condition})
