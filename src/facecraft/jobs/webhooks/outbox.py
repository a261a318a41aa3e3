"""Writes down what webhooks are to be told, in the transaction that makes it true.

So everything is written down exactly once, and told at least once, always under the same message id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import sqlalchemy as sa
from pydantic import JsonValue
from sqlalchemy.engine import Connection

from facecraft.db.tables import WEBHOOKS
from facecraft.jobs.job import Job
from facecraft.jobs.moments import rfc3339
from facecraft.jobs.webhooks.records import EventType
from facecraft.jobs.webhooks.rows import belongs, insert_deliveries

MAX_PAYLOAD = 20_000
"""Most bytes of a body: Standard Webhooks asks for less than 20 kB."""


def announce(
    connection: Connection,
    *,
    owner: str | None,
    job_id: str,
    type: EventType,  # noqa: A002 - as the specification calls it
    data: Mapping[str, JsonValue],
    now: datetime | None = None,
) -> int:
    """Write, inside the caller's transaction, that every webhook of ``owner`` which wants ``type`` is to be told.

    ``data`` stands beside ``job_id`` in the body; where it is too large for one, it is left out. Returns how many
    are told.
    """
    moment = now or datetime.now(UTC)
    # Nobody may delete a webhook between this and the insertion: the foreign key would undo the end of the job.
    enabled = sa.select(WEBHOOKS.c.id, WEBHOOKS.c.types).where(belongs(owner), WEBHOOKS.c.disabled_at.is_(None))
    found = connection.execute(enabled.with_for_update(read=True, key_share=True)).all()
    wanted = [row.id for row in found if type.value in row.types]
    if not wanted:
        return 0
    body = payload(type.value, moment, {"job_id": job_id, **data})
    if len(body.encode()) >= MAX_PAYLOAD:
        body = payload(type.value, moment, {"job_id": job_id})
    return len(insert_deliveries(connection, wanted, type=type.value, payload=body, job_id=job_id, now=moment))


def announce_end(connection: Connection, job: Job) -> None:
    """Write that the webhooks of a job's owner are to be told how it ended, with links to nothing and no pictures.

    The receiver asks for more with the id of the job and with a key of its own.
    """
    failure = job.failure
    data: dict[str, JsonValue] = {
        "name": job.name,
        "state": job.state.value,
        "attempt": job.attempt,
        "items": {"total": job.total, "succeeded": job.succeeded, "failed": job.failed},
        "created_at": rfc3339(job.created_at),
        "finished_at": None if job.finished_at is None else rfc3339(job.finished_at),
        "failure": None if failure is None else {"code": failure.code, "message": failure.message},
    }
    kind = EventType(f"job.{job.state.value}")
    announce(connection, owner=job.owner, job_id=job.id, type=kind, data=data, now=job.finished_at)


def payload(type: str, moment: datetime, data: Mapping[str, JsonValue]) -> str:  # noqa: A002 - as above
    """Return the body of a message."""
    stamp = rfc3339(moment, timespec="milliseconds")
    return json.dumps({"type": type, "timestamp": stamp, "data": dict(data)}, ensure_ascii=False, allow_nan=False)
