"""What happens to a job, as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from facecraft.api.callers.access import Gate
from facecraft.api.callers.owners import CallerOf
from facecraft.api.dependencies import services_of
from facecraft.api.watching.event_feed import EventFeed
from facecraft.errors import StorageError
from facecraft.jobs.job import Event
from facecraft.jobs.moments import rfc3339

MEDIA_TYPE = "text/event-stream"
QUIET_SECONDS = 15.0
"""After so long without an event a comment is sent: proxies close connections on which nothing moves."""
AGAIN_SECONDS = 30.0
"""How often it is asked again whether the caller may listen: a key may have been revoked."""
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
    request: Request,
    job_id: str,
    caller: CallerOf,
    last_event_id: Number = None,
    last: Annotated[str | None, Header(alias="Last-Event-ID", description="Number of the last received event.")] = None,
) -> Response:
    """Send every event of the job from the first on, or from the one after `Last-Event-ID`, until the job has ended.

    An event is named after the state it brings (`queued`, `running`, `succeeded`, `failed`, `cancelled`), or `progress`,
    `item` or `cancelling`; its id is its number, its data the job in short as JSON.
    """
    services = services_of(request)
    jobs = services.studio.jobs.repository
    job = await anyio.to_thread.run_sync(jobs.get, caller.owner, job_id)
    sent = last_event_id or 0
    if last is not None and last.isascii() and last.isdigit() and len(last) < 10:
        sent = int(last)
    after = min(sent, job.event_count)
    if job.ended and after == job.event_count:
        return Response(status_code=204)
    gate: Gate = request.app.state.gate
    story = _stream(services.feed, job.id, after, lambda: gate.still(request.scope, caller), AGAIN_SECONDS)
    return _Stream(story, services.feed, caller.owner)


class _Stream(StreamingResponse):
    """A stream that counts from its first byte to its last. Raises TooManyStreamsError instead of the first."""

    def __init__(self, story: AsyncIterator[str], feed: EventFeed, owner: str | None) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(story, media_type=MEDIA_TYPE, headers=headers)
        self._place = feed.place(owner)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            await super().__call__(scope, receive, send)


async def _stream(
    feed: EventFeed, job_id: str, after: int, may: Callable[[], Awaitable[bool]], seconds: float
) -> AsyncIterator[str]:
    """Tell what happens to a job as long as the caller ``may`` know, which is asked again every so many ``seconds``."""
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    due = time.monotonic() + seconds
    async with aclosing(feed.follow(job_id, after=after, quiet=min(QUIET_SECONDS, seconds))) as story:
        async for happened in story:
            if time.monotonic() >= due:
                # A database that is away tells nothing of jobs either.
                with suppress(StorageError):
                    if not await may():
                        return
                due = time.monotonic() + seconds
            yield "".join(_text(job_id, event) for event in happened) or ": nothing new\n\n"


def _text(job_id: str, event: Event) -> str:
    data = json.dumps({"job_id": job_id, "at": rfc3339(event.created_at), **event.data})
    return f"id: {event.number}\nevent: {event.type}\ndata: {data}\n\n"
