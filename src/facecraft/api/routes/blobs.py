"""Pictures that are uploaded once and used by many jobs."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from facecraft.api.callers.owners import OwnerOf
from facecraft.api.dependencies import ServicesOf
from facecraft.api.files.deliveries import ELSEWHERE, deliver
from facecraft.api.jobs.submitting import receive
from facecraft.api.paths import path_of
from facecraft.api.requests.forms import FileForm, takes
from facecraft.api.requests.idempotency import IdempotentOf
from facecraft.api.requests.uploads import QueueingRoute
from facecraft.jobs.blob_rows import Blob

PREFIX = "/api/v1/blobs"


class BlobReport(BaseModel):
    """Stored bytes: an upload, or a result."""

    id: str
    name: str | None = Field(description="What the sender called it; of a result its name.")
    media_type: str = Field(description="As its first bytes say, whatever the sender said.")
    bytes: int
    job_id: str | None = Field(description="Of a result: the job that made it.")
    created_at: datetime
    expires_at: datetime | None = Field(description="When it is deleted; null while a job needs it.")
    url: str

    @classmethod
    def of(cls, blob: Blob, request: Request) -> BlobReport:
        """Describe ``blob``."""
        return cls(
            id=blob.id,
            name=blob.name,
            media_type=blob.media_type,
            bytes=blob.bytes,
            job_id=blob.job_id,
            created_at=blob.created_at,
            expires_at=blob.expires_at,
            url=path_of(request, "blob-content", blob_id=blob.id),
        )


def router() -> APIRouter:
    """Return the endpoints of blobs."""
    routes = APIRouter(tags=["blobs"])
    uploads = APIRouter(tags=["blobs"], route_class=QueueingRoute)
    _add_upload(uploads)
    _add_reading(routes)
    routes.include_router(uploads)
    return routes


def _add_upload(routes: APIRouter) -> None:
    @routes.post(
        PREFIX,
        name="upload",
        summary="Upload a picture for later",
        status_code=201,
        response_model=BlobReport,
        responses={201: {"headers": {"Location": {"schema": {"type": "string"}}}}},
    )
    @takes(FileForm)
    async def upload(
        request: Request, form: FileForm, services: ServicesOf, owner: OwnerOf, idempotent: IdempotentOf
    ) -> Response:
        """Keep a picture as long as results are kept. Its id stands for it in `blobs` of a job."""
        hours = services.settings.cleanup_age_hours
        life = timedelta(hours=hours) if hours else None

        def reply(blob: Blob) -> Response:
            headers = {"Location": path_of(request, "blob", blob_id=blob.id)}
            return Response(BlobReport.of(blob, request).model_dump_json(), 201, headers, "application/json")

        def work() -> Response:
            return reply(
                receive(services, owner, form.file, life=life, keep=lambda blob: idempotent.keeping(reply(blob)))
            )

        return await idempotent(partial(anyio.to_thread.run_sync, work))


def _add_reading(routes: APIRouter) -> None:
    @routes.get(f"{PREFIX}/{{blob_id}}", name="blob", summary="Look at an upload")
    async def show(request: Request, blob_id: str, services: ServicesOf, owner: OwnerOf) -> BlobReport:
        """Answer what is known of it."""
        blob = await anyio.to_thread.run_sync(services.studio.jobs.blobs.get, owner, blob_id)
        return BlobReport.of(blob, request)

    @routes.head(f"{PREFIX}/{{blob_id}}/content", include_in_schema=False)
    @routes.get(
        f"{PREFIX}/{{blob_id}}/content",
        name="blob-content",
        summary="Fetch an upload",
        response_class=Response,
        responses={200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}, **ELSEWHERE},
    )
    async def content(request: Request, blob_id: str, services: ServicesOf, owner: OwnerOf) -> Response:
        """Fetch the bytes as they were sent."""
        blob = await anyio.to_thread.run_sync(services.studio.jobs.blobs.get, owner, blob_id)
        return await deliver(request, services, blob, filename=blob.name or blob.id)

    @routes.delete(f"{PREFIX}/{{blob_id}}", name="delete-blob", summary="Delete an upload", status_code=204)
    async def delete(blob_id: str, services: ServicesOf, owner: OwnerOf) -> None:
        """Delete it. A job that still needs it fails."""
        await anyio.to_thread.run_sync(services.studio.jobs.blobs.delete, owner, blob_id)
