"""Answering with a job instead of a result, for callers who would rather not wait (RFC 7240, respond-async)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import anyio.to_thread
from fastapi import Request
from starlette.responses import Response

from facecraft.api.dependencies import Services
from facecraft.api.files.deliveries import WHOLE
from facecraft.api.jobs.making import Making
from facecraft.api.jobs.reports import report_of
from facecraft.api.jobs.submitting import Order, Queued, submit
from facecraft.api.problems import JOB_ID
from facecraft.api.requests.idempotency import Idempotent, alike
from facecraft.api.requests.preferences import ASYNCHRONOUS, Preference, preference_of
from facecraft.api.watching.endings import Ending
from facecraft.errors import ArtifactNotFoundError, FacecraftError, JobNotFoundError
from facecraft.jobs.idempotency import Replay
from facecraft.jobs.job import Failure, Job, JobState
from facecraft.jobs.opening import Jobs
from facecraft.jobs.repository import Also

APPLIED = "Preference-Applied"
RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {
        "description": f"With `Prefer: {ASYNCHRONOUS}`: a job was queued. `Location` is its address. With "
        f"`Prefer: {ASYNCHRONOUS}, wait=N` only when it takes longer than N seconds.",
        "headers": {
            "Location": {"schema": {"type": "string"}, "description": "The address of the job."},
            APPLIED: {"schema": {"type": "string"}},
        },
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/JobReport"}}},
    }
}
"""What the OpenAPI document says of answers that are jobs."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that has succeeded, with its files by name."""

    job: Job
    files: Mapping[str, Callable[[], bytes]]
    """What returns each file. Raises ArtifactNotFoundError, StorageError. Blocks."""

    def read(self, name: str) -> bytes:
        """Return a file. Raises ArtifactNotFoundError, StorageError. Blocks."""
        if name not in self.files:
            raise ArtifactNotFoundError
        return self.files[name]()


async def respond_async(making: Making, order: Order, show: Callable[[Finished], Response]) -> Response:
    """Queue ``order`` and answer 202; or what ``show`` makes of the result, when it comes within the time to wait.

    With an Idempotency-Key once: what is kept is the 202, and whoever waits again is shown the result of the same job.
    Raises what :func:`~facecraft.api.jobs.submitting.submit` raises, and why a job failed that was waited for.
    """
    preference = preference_of(making.request.headers)

    async def queued() -> Response:
        work = partial(queue, making.request, making.services, making.owner, making.idempotent, order)
        reply = await anyio.to_thread.run_sync(partial(work, preference=preference))
        return await _waited(making, preference, reply.headers[JOB_ID], show) or reply

    async def again(replay: Replay) -> Response:
        job_id = replay.headers.get(JOB_ID.lower())
        waited = None if job_id is None else await _waited(making, preference, job_id, show)
        return waited or await alike(replay)

    return await making.idempotent(queued, again)


def queue(
    request: Request,
    services: Services,
    owner: str | None,
    idempotent: Idempotent,
    order: Order,
    *,
    preference: Preference | None = None,
) -> Response:
    """Put a job into its queue and answer 202, which is kept with it. Raises what ``submit`` raises. Blocks."""
    replies: list[Response] = []

    def keep(queued: Queued) -> Also:
        replies.append(accepted(request, queued, preference))
        return idempotent.keeping(replies[-1])

    submit(services, owner, order, keep)
    return replies[-1]


def accepted(request: Request, queued: Queued, preference: Preference | None = None) -> Response:
    """Answer 202 with the job as it was queued, and where to find it."""
    report = report_of(request, queued.job, queued.items, (), queued.position)
    headers = {"Location": report.links.self, JOB_ID: queued.job.id}
    if preference is not None:
        headers[APPLIED] = preference.applied
    return Response(report.model_dump_json(), HTTPStatus.ACCEPTED, headers, "application/json")


async def _waited(
    making: Making, preference: Preference, job_id: str, show: Callable[[Finished], Response]
) -> Response | None:
    """Wait for a job as long as the client wants to and show its result; None: it does not want to, or not so long.

    Raises why the job failed, JobNotFoundError or ArtifactNotFoundError when the result was deleted, StorageError.
    """
    services = making.services
    if not preference.wait:
        return None
    seconds = min(float(preference.wait), services.settings.request_timeout_seconds)
    ending = await services.endings.wait(job_id, seconds=seconds)
    if ending is None:
        return None
    work = partial(_shown, services.studio.jobs, making.owner, job_id, ending, show)
    quick = ending.job is not None and 0 < sum(map(len, ending.made.values())) <= WHOLE
    reply = work() if quick else await anyio.to_thread.run_sync(work)
    if reply is not None:
        reply.headers[APPLIED] = preference.applied
    return reply


def error_of(failure: Failure | None) -> FacecraftError:
    """Return the error that a job failed with, so that a caller who waited for it is told the same as any other."""
    if failure is None:
        return FacecraftError()
    kind = next((each for each in _every(FacecraftError) if each.code == failure.code), FacecraftError)
    error = FacecraftError.__new__(kind)
    FacecraftError.__init__(error, failure.message, hint=failure.hint)
    return error


def _every(kind: type[FacecraftError]) -> Iterator[type[FacecraftError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _every(each)


def _shown(
    jobs: Jobs, owner: str | None, job_id: str, ending: Ending, show: Callable[[Finished], Response]
) -> Response | None:
    """Return what ``show`` makes of a job that has ended; None when it was deleted or put into the queue again since."""
    try:
        job = ending.job or jobs.repository.get(owner, job_id)
    except JobNotFoundError:
        return None
    if not job.ended:
        return None
    if job.state is not JobState.SUCCEEDED:
        raise error_of(job.failure)
    if ending.made:
        return show(Finished(job, {name: partial(bytes, data) for name, data in ending.made.items()}))
    files = {blob.name or "": partial(jobs.blobs.read, blob) for blob in jobs.blobs.artifacts(job_id)}
    if not files:
        raise JobNotFoundError
    return show(Finished(job, files))
