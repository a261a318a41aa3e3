"""What jobs have made: fetched one by one or all at once."""

from __future__ import annotations

import re
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from facecraft.api.callers.owners import OwnerOf
from facecraft.api.dependencies import Services, ServicesOf
from facecraft.api.files.deliveries import ELSEWHERE, deliver, disposition, sending
from facecraft.api.files.zipping import Entry, entries_of, zipped
from facecraft.api.jobs.artifacts import MEDIA_TYPES, result_name
from facecraft.api.jobs.deleting import once_sent
from facecraft.errors import ArtifactNotFoundError
from facecraft.jobs.blob_rows import Blob
from facecraft.jobs.job import ENDED, Job, JobState

ZIP = "application/zip"
ANY_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {name: {} for name in MEDIA_TYPES.values()}},
    **ELSEWHERE,
}

_NUMBER = re.compile(r"(\d{4,7})-")
"""What the name of a file begins with in a job of several pictures."""

router = APIRouter(prefix="/api/v1")


@router.head("/download/{job_id}/{format}", include_in_schema=False)
@router.get(
    "/download/{job_id}/{format}",
    name="download",
    summary="Fetch a result by its format",
    tags=["results"],
    response_class=Response,
    responses=ANY_FILE,
)
async def download(
    request: Request,
    job_id: str,
    ending: Annotated[str, Path(alias="format")],
    services: ServicesOf,
    owner: OwnerOf,
    *,
    item: Annotated[
        int,
        Query(
            ge=0,
            le=1_000_000,
            description="Which picture of a batch: its `position`, from 0; 1 is the second, `0002-result.png` by name.",
        ),
    ] = 0,
) -> Response:
    """Fetch a result: png, jpg, webp or avif, as far as it was asked for, or json for the report."""
    suffix = "jpg" if ending == "jpeg" else ending

    def find() -> tuple[Job, Blob]:
        job = services.studio.jobs.repository.get(owner, job_id)
        if suffix not in MEDIA_TYPES:
            raise ArtifactNotFoundError(hint=f"Results are {', '.join(MEDIA_TYPES)}.")
        return job, _result(services, job, result_name(suffix, item, job.total), item)

    job, blob = await anyio.to_thread.run_sync(find)
    filename = f"facecraft-{job.id}{f'-{item + 1:04d}' if job.total > 1 else ''}.{suffix}"
    return await deliver(request, services, blob, filename=filename, after=once_sent(services, job, blob))


@router.head("/jobs/{job_id}/artifacts/{name}", include_in_schema=False)
@router.get(
    "/jobs/{job_id}/artifacts/{name}",
    name="job-artifact",
    summary="Fetch a file of a job",
    tags=["jobs"],
    response_class=Response,
    responses=ANY_FILE,
)
async def artifact(request: Request, job_id: str, name: str, services: ServicesOf, owner: OwnerOf) -> Response:
    """Fetch a file by its name, as the job lists it."""
    job, blob = await anyio.to_thread.run_sync(_find, services, owner, job_id, name)
    return await deliver(request, services, blob, filename=blob.name or blob.id, after=once_sent(services, job, blob))


@router.get(
    "/jobs/{job_id}/artifacts.zip",
    name="job-archive",
    summary="Fetch every file of a job in one ZIP",
    tags=["jobs"],
    response_class=Response,
    responses={200: {"content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def archive(request: Request, job_id: str, services: ServicesOf, owner: OwnerOf) -> Response:
    """Fetch pictures and reports, named `0001-` and what the sender called the picture. Made while it is sent."""

    def find() -> tuple[Job, list[Entry]]:
        jobs = services.studio.jobs
        job = jobs.repository.get(owner, job_id)
        entries = list(entries_of(jobs.repository.items(owner, job.id), jobs.blobs.artifacts(job.id)))
        if not entries:
            raise ArtifactNotFoundError("The job has made nothing.")
        return job, entries

    job, entries = await anyio.to_thread.run_sync(find)
    pieces = zipped(entries, services.studio.jobs.blobs.stream)
    headers = {"Content-Disposition": disposition(f"facecraft-{job.id}.zip"), "Cache-Control": "no-store"}
    after = once_sent(services, job) if job.ended else None
    return sending(request, pieces, after, media_type=ZIP, headers=headers)


def _find(services: Services, owner: str | None, job_id: str, name: str) -> tuple[Job, Blob]:
    job = services.studio.jobs.repository.get(owner, job_id)
    number = _NUMBER.match(name) if job.total > 1 else None
    return job, _result(services, job, name, int(number[1]) - 1 if number else 0)


def _result(services: Services, job: Job, name: str, position: int) -> Blob:
    """Return a file of an item. Raises ArtifactNotFoundError, which says what became of the picture."""
    try:
        return services.studio.jobs.blobs.artifact(job.id, name)
    except ArtifactNotFoundError as error:
        raise _missing(services, job, position) from error


def _missing(services: Services, job: Job, position: int) -> ArtifactNotFoundError:
    """Return why an item has no such file. Pictures are counted from 1, as in the names of files."""
    picture = f"Picture {position + 1}"
    if not 0 <= position < job.total:
        last = f"{picture} does not exist: the job has {job.total}."
        return ArtifactNotFoundError(last, hint=f"`item` is counted from 0, here to {job.total - 1}.")
    item = services.studio.jobs.repository.items(job.owner, job.id)[position]
    if item.failure is not None:
        return ArtifactNotFoundError(
            f"{picture} failed: {item.failure.code}. {item.failure.message}", hint=item.failure.hint
        )
    if item.state in ENDED:
        return ArtifactNotFoundError(
            None if item.state is JobState.SUCCEEDED else f"{picture} is {item.state.value}: nothing was made of it."
        )
    return ArtifactNotFoundError(
        f"{picture} is not done yet.", hint="Follow the events of the job, or ask again later."
    )
