"""Fetching and deleting what was made."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Path
from pydantic import BaseModel
from starlette.responses import Response

from facecraft.api.artifacts import MEDIA_TYPES, artifact_name, members_of
from facecraft.api.dependencies import ServicesOf
from facecraft.errors import ArtifactNotFoundError, JobNotFoundError
from facecraft.jobs.results import Results, parse_job_id

router = APIRouter(prefix="/api/v1", tags=["results"])


class Deleted(BaseModel):
    """What was deleted."""

    message: str


@router.get(
    "/download/{job_id}/{format}",
    name="download",
    response_class=Response,
    responses={200: {"content": {name: {} for name in MEDIA_TYPES.values()}}},
)
async def download(job_id: str, ending: Annotated[str, Path(alias="format")], services: ServicesOf) -> Response:
    """Fetch a result: png, jpg, webp or avif, as far as it was asked for, or json for the report."""
    parsed = parse_job_id(job_id)
    suffix = "jpg" if ending == "jpeg" else ending
    if suffix not in MEDIA_TYPES:
        raise ArtifactNotFoundError(hint=f"Results are {', '.join(MEDIA_TYPES)}.")
    data = await anyio.to_thread.run_sync(services.results.fetch, parsed, artifact_name(suffix))
    headers = {"Content-Disposition": f'attachment; filename="facecraft-{parsed}.{suffix}"'}
    return Response(data, media_type=MEDIA_TYPES[suffix], headers=headers)


@router.delete("/jobs/{job_id}")
async def delete(job_id: str, services: ServicesOf) -> Deleted:
    """Delete the results of a job; of a batch, those of all its pictures."""
    parsed = parse_job_id(job_id)
    await anyio.to_thread.run_sync(_delete, services.results, parsed)
    return Deleted(message=f"Job {parsed} deleted")


def _delete(results: Results, job_id: str) -> None:
    for member in members_of(results, job_id):
        try:
            results.delete(member)
        except JobNotFoundError:
            continue  # deleted on its own before
    results.delete(job_id)
