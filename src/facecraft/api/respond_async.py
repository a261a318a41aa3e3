"""Answering with a job instead of a result, for callers who would rather not wait (RFC 7240, respond-async)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import anyio.to_thread
from fastapi import Request
from starlette.responses import Response

from facecraft.api.job_reports import report_of
from facecraft.api.making import Making
from facecraft.api.preferences import ASYNCHRONOUS, Preference, preference_of
from facecraft.api.submitting import Order, Queued, submit
from facecraft.errors import FacecraftError, JobNotFoundError
from facecraft.jobs.blob_rows import Blob
from facecraft.jobs.blobs import Blobs
from facecraft.jobs.job import Failure, Job, JobState
from facecraft.jobs.opening import Jobs

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
    files: Mapping[str, Blob]
    blobs: Blobs

    def read(self, name: str) -> bytes:
        """Return a file. Raises ArtifactNotFoundError, StorageError. Blocks."""
        return self.blobs.read(self.files[name])


async def respond_async(making: Making, order: Order, show: Callable[[Finished], Response]) -> Response:
    """Queue ``order`` and answer 202; or what ``show`` makes of the result, when it comes within the time to wait.

    With an Idempotency-Key once. Raises what :func:`~facecraft.api.submitting.submit` raises, and why a job failed that was waited for.
    """
    return await making.idempotent(lambda: _queued(making, order, show))


async def _queued(making: Making, order: Order, show: Callable[[Finished], Response]) -> Response:
    request, services = making.request, making.services
    preference = preference_of(request.headers)
    queued = await anyio.to_thread.run_sync(submit, services, making.owner, order)
    if preference.wait:
        seconds = min(float(preference.wait), services.settings.request_timeout_seconds)
        if await services.feed.ended(queued.job.id, seconds=seconds):
            reply = await anyio.to_thread.run_sync(_shown, services.studio.jobs, making.owner, queued.job.id, show)
            reply.headers[APPLIED] = preference.applied
            return reply
    return await anyio.to_thread.run_sync(accepted, request, services.studio.jobs, queued, preference)


def accepted(request: Request, jobs: Jobs, queued: Queued, preference: Preference | None = None) -> Response:
    """Answer 202 with the job as it was queued, and where to find it. Blocks."""
    job = queued.job
    report = report_of(request, job, queued.items, (), jobs.repository.position(job))
    headers = {"Location": report.links.self, "X-Facecraft-Job-Id": job.id}
    if preference is not None:
        headers[APPLIED] = preference.applied
    return Response(report.model_dump_json(), HTTPStatus.ACCEPTED, headers, "application/json")


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


def _shown(jobs: Jobs, owner: str | None, job_id: str, show: Callable[[Finished], Response]) -> Response:
    job = jobs.repository.get(owner, job_id)
    if job.state is not JobState.SUCCEEDED:
        raise error_of(job.failure)
    files = {blob.name or "": blob for blob in jobs.blobs.artifacts(job_id)}
    if not files:
        raise JobNotFoundError
    return show(Finished(job, files, jobs.blobs))
