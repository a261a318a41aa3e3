"""The paths of the restoration web app: a photo is sent, its job looked at, the restored photo fetched."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Literal

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from facecraft.api.callers.owners import OwnerOf
from facecraft.api.dependencies import Services, ServicesOf
from facecraft.api.files.deliveries import ELSEWHERE, deliver
from facecraft.api.files.zipping import safe_stem
from facecraft.api.jobs.deleting import once_sent
from facecraft.api.jobs.forms import preset_task
from facecraft.api.jobs.making import Making, MakingOf
from facecraft.api.jobs.submitting import Order, Queued, submit
from facecraft.api.paths import path_of
from facecraft.api.requests.forms import FileForm, takes
from facecraft.api.requests.uploads import QueueingRoute
from facecraft.errors import ArtifactNotFoundError, JobNotFoundError, ModelNotInstalledError
from facecraft.imaging.codecs import OutputFormat
from facecraft.jobs.blob_rows import Blob
from facecraft.jobs.job import Item, Job, JobState
from facecraft.pipelines.presets import RestorePresetOptions

UPSCALE = 2.0
"""The app always doubled the width and the height."""
TAG = "restoration web app"


class Submitted(BaseModel):
    """A photo that was taken in."""

    job_id: str
    status: Literal["processing"] = "processing"
    status_url: str
    message: str = "Your image is being restored. Ask the status address for the result."


class Progressing(BaseModel):
    """How a job stands; which fields are there depends on the status."""

    status: Literal["processing", "completed", "failed"]
    job_id: str
    message: str
    elapsed_minutes: float | None = Field(default=None, description="While it is processed.")
    progress: float | None = Field(default=None, description="While it is processed: 0 to 1.")
    image_url: str | None = Field(default=None, description="When it is completed.")
    error: str | None = Field(default=None, description="When it failed: a stable code.")
    error_message: str | None = Field(default=None, description="When it failed: what happened.")


def router() -> APIRouter:
    """Return the three paths."""
    routes = APIRouter(tags=[TAG])
    uploads = APIRouter(tags=[TAG], route_class=QueueingRoute)
    _add_submit(uploads)
    _add_results(routes)
    routes.include_router(uploads)
    return routes


def _add_submit(routes: APIRouter) -> None:
    @routes.post("/submit", name="submit", summary="Restore a photo and double its size", response_model=Submitted)
    @takes(FileForm)
    async def submit_photo(form: FileForm, making: MakingOf) -> Response:
        """Answer the id of the job at once; 503 with the command that installs it when there is no restoration model."""

        return await making.idempotent(partial(anyio.to_thread.run_sync, _submitted, making, form))


def _submitted(making: Making, form: FileForm) -> Response:
    """Queue the job and answer its id, which is kept with it. Raises what ``submit`` raises. Blocks."""
    services = making.services
    options = RestorePresetOptions(upscale=UPSCALE, formats=(OutputFormat.PNG,))
    if services.settings.celery_broker_url is None:  # workers elsewhere have models of their own
        try:
            services.studio.hub.restorer()
        except ModelNotInstalledError as error:
            raise services.installs.instead(error) from error

    def reply(queued: Queued) -> Response:
        url = path_of(making.request, "restoration-status", job_id=queued.job.id)
        return Response(
            Submitted(job_id=queued.job.id, status_url=url).model_dump_json(), media_type="application/json"
        )

    order = Order(preset_task(options), [form.file])
    return reply(submit(services, making.owner, order, lambda queued: making.idempotent.keeping(reply(queued))))


def _add_results(routes: APIRouter) -> None:
    @routes.get(
        "/status/{job_id}",
        name="restoration-status",
        summary="Ask how a restoration stands",
        response_model=Progressing,
        response_model_exclude_none=True,
    )
    async def status(request: Request, job_id: str, services: ServicesOf, owner: OwnerOf) -> Progressing:
        """Answer processing, completed with the address of the image, or failed with the reason; 404 for no such job."""
        job, item, blob = await anyio.to_thread.run_sync(_found, services, owner, job_id)
        if job.state in (JobState.QUEUED, JobState.RUNNING):
            minutes = (datetime.now(UTC) - job.created_at).total_seconds() / 60
            return Progressing(
                status="processing",
                job_id=job.id,
                message="Waiting for a free place." if job.state is JobState.QUEUED else "Restoring the image.",
                elapsed_minutes=round(minutes, 2),
                progress=round(job.fraction, 4),
            )
        if job.state is JobState.SUCCEEDED and blob is not None:
            url = path_of(request, "restoration-image", job_id=job.id, filename=_filename(item, blob))
            return Progressing(status="completed", job_id=job.id, image_url=url, message="The image is restored.")
        failure = job.failure
        return Progressing(
            status="failed",
            job_id=job.id,
            message="The image could not be restored.",
            error="artifact_not_found" if failure is None else failure.code,
            error_message="The image has been deleted." if failure is None else failure.message,
        )

    @routes.head("/images/{job_id}/{filename}", include_in_schema=False)
    @routes.get(
        "/images/{job_id}/{filename}",
        name="restoration-image",
        summary="Fetch a restored photo",
        response_class=Response,
        responses={
            HTTPStatus.OK.value: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
            **ELSEWHERE,
        },
    )
    async def image(
        request: Request,
        job_id: str,
        filename: str,  # noqa: ARG001 - the app never looked at it
        services: ServicesOf,
        owner: OwnerOf,
    ) -> Response:
        """Fetch the image of a job, whatever the last part of the path says."""
        job, item, blob = await anyio.to_thread.run_sync(_found, services, owner, job_id)
        if blob is None:
            raise ArtifactNotFoundError
        after = once_sent(services, job, blob)
        return await deliver(request, services, blob, filename=_filename(item, blob), after=after)


def _found(services: Services, owner: str | None, job_id: str) -> tuple[Job, Item, Blob | None]:
    """Return a job with its picture and the image made from it. Raises JobNotFoundError."""
    jobs = services.studio.jobs
    job = jobs.repository.get(owner, job_id)
    items = jobs.repository.items(owner, job.id)
    if not items:
        raise JobNotFoundError
    images = [blob for blob in jobs.blobs.artifacts(job.id) if blob.media_type.startswith("image/")]
    return job, items[0], images[0] if images else None


def _filename(item: Item, blob: Blob) -> str:
    return f"restored_{safe_stem(item.name)}.{(blob.name or 'result.png').rpartition('.')[2]}"
