"""What happens to a job, as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Header, Query
from starlette.responses import Response, StreamingResponse

from facecraft.api.dependencies import ServicesOf
from facecraft.api.event_feed import EventFeed
from facecraft.api.owners import OwnerOf
from facecraft.jobs.job import Event

MEDIA_TYPE = "text/event-stream"
QUIET_SECONDS = 15.0
"""After so long without an event a comment is sent: proxies close connections on which nothing moves."""
RETRY_MILLISECONDS = 2000
"""How long a browser waits before it comes again."""

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])

Number = Annotated[
    int | None, Query(ge=0, le=2**31, description="As the header Last-Event-ID, for who cannot send it.")
]


@router.get(
    "/{job_id}/events",
    name="job-events",
    summary="Follow a job",
    response_class=Response,
    responses={
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "The events of the job."},
        204: {"description": "The job has ended, and every event of it was received: do not come again."},
    },
)
async def events(
    job_id: str,
    services: ServicesOf,
    owner: OwnerOf,
    last_event_id: Number = None,
    last: Annotated[str | None, Header(alias="Last-Event-ID", description="Number of the last received event.")] = None,
) -> Response:
    """Send every event of the job from the first on, or from the one after `Last-Event-ID`, until the job has ended.

    An event is named after the state it brings (`queued`, `running`, `succeeded`, `failed`, `cancelled`), or `progress`,
    `item` or `cancelling`; its id is its number, its data the job in short as JSON.
    """
    jobs = services.studio.jobs.repository
    job = await anyio.to_thread.run_sync(jobs.get, owner, job_id)
    sent = last_event_id or 0
    if last is not None and last.isascii() and last.isdigit() and len(last) < 10:
        sent = int(last)
    after = min(sent, job.event_count)
    if job.ended and after == job.event_count:
        return Response(status_code=204)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(services.feed, job.id, after), media_type=MEDIA_TYPE, headers=headers)


async def _stream(feed: EventFeed, job_id: str, after: int) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    async with aclosing(feed.follow(job_id, after=after, quiet=QUIET_SECONDS)) as story:
        async for happened in story:
            yield "".join(_text(job_id, event) for event in happened) or ": nothing new\n\n"


def _text(job_id: str, event: Event) -> str:
    data = json.dumps({"job_id": job_id, "at": event.created_at.isoformat(), **event.data})
    return f"id: {event.number}\nevent: {event.type}\ndata: {data}\n\n"
