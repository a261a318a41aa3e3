"""Work that outlives a request: sent, listed, looked at, stopped, tried again and deleted."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from facecraft.api.callers.owners import OwnerOf
from facecraft.api.dependencies import Services, ServicesOf
from facecraft.api.jobs.deleting import delete_job
from facecraft.api.jobs.forms import BODY, JobRequest, order_of, order_of_form
from facecraft.api.jobs.reports import JobReport, JobsPage, JobSummary, report_of
from facecraft.api.jobs.respond_async import queue
from facecraft.api.jobs.submitting import Order
from facecraft.api.requests.idempotency import Idempotent, IdempotentOf
from facecraft.api.requests.json_bodies import SmallJsonRoute
from facecraft.api.requests.paging import Cursor, Limit
from facecraft.api.requests.uploads import JobsRoute
from facecraft.api.routes.presets import server_options
from facecraft.errors import FormExpectedError
from facecraft.jobs.job import Job, JobState
from facecraft.settings import Settings

T = TypeVar("T")

TAG = "jobs"
PREFIX = "/api/v1/jobs"
CREATED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The job waits. `Location` is its address.",
        "headers": {"Location": {"schema": {"type": "string"}}},
        "model": JobReport,
    }
}

States = Annotated[list[JobState] | None, Query(max_length=10, description="Only jobs in one of these states.")]
Name = Annotated[
    str | None, Query(max_length=60, description="Only jobs of this name, such as portrait or faces-embeddings.")
]


class _OrdersRoute(JobsRoute):
    """A :class:`JobsRoute` beside one that takes JSON: whoever sends neither is told of both."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Say what a job is sent as."""
        handle = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            except FormExpectedError as error:
                hint = "Send pictures as `files` in a form (curl -F files=@me.jpg …), or JSON (Content-Type: application/json)."
                raise FormExpectedError("The request is neither a form nor JSON.", hint=hint) from error

        return told


class Deleted(BaseModel):
    """What was deleted."""

    message: str


def router(settings: Settings) -> APIRouter:
    """Return the endpoints of jobs for a server with ``settings``."""
    routes = APIRouter()
    _add_submission(routes, settings)
    looking = APIRouter(prefix=PREFIX, tags=[TAG])
    _add_looking(looking)
    _add_changing(looking)
    routes.include_router(looking)
    return routes


def _add_submission(routes: APIRouter, settings: Settings) -> None:
    presets = server_options(settings)
    forms = APIRouter(tags=[TAG], route_class=_OrdersRoute)
    documents = APIRouter(route_class=SmallJsonRoute)

    @documents.post(PREFIX, name="create-job-json", include_in_schema=False)
    async def create_from_json(
        request: Request, body: JobRequest, services: ServicesOf, owner: OwnerOf, idempotent: IdempotentOf
    ) -> Response:
        """Queue a job on earlier pictures."""
        return await _submitted(request, services, owner, idempotent, lambda: order_of(body, settings, presets))

    @forms.post(
        PREFIX,
        name="create-job",
        summary="Queue a job for one or many pictures",
        status_code=202,
        responses=CREATED,
        openapi_extra=BODY,
    )
    async def create(request: Request, services: ServicesOf, owner: OwnerOf, idempotent: IdempotentOf) -> Response:
        """Answer 202 at once with the job and its address; 429 with `Retry-After` when too many jobs wait.

        Send `preset` and `options`, or `pipeline`, or `task`, with pictures as `files`, as `blobs` (ids of uploads, or `job:<id>/<name>`
        for the result of an earlier job), or both: files come first. Many pictures are one job with items: one that
        cannot be read fails alone. A single file that is no picture is refused at once.
        """
        form = await request.form()
        return await _submitted(request, services, owner, idempotent, lambda: order_of_form(form, settings, presets))

    routes.include_router(documents)
    routes.include_router(forms)


async def _submitted(
    request: Request, services: Services, owner: str | None, idempotent: Idempotent, order: Callable[[], Order]
) -> Response:
    wanted = order()
    return await idempotent(lambda: _in_thread(lambda: queue(request, services, owner, idempotent, wanted)))


async def _in_thread(work: Callable[[], T]) -> T:
    """Do ``work`` on the database in a thread of its own: it needs no place among those for pictures."""
    return await anyio.to_thread.run_sync(work)


def _add_looking(routes: APIRouter) -> None:
    @routes.get("", name="jobs", summary="List the jobs")
    async def list_jobs(
        request: Request,
        services: ServicesOf,
        owner: OwnerOf,
        *,
        state: States = None,
        name: Name = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> JobsPage:
        """Answer one page, the newest first."""
        jobs = services.studio.jobs.repository
        states = tuple(state or ())
        page = await _in_thread(lambda: jobs.list(owner, states=states, name=name, cursor=cursor, limit=limit))
        return JobsPage(items=[JobSummary.of(job, request) for job in page.items], cursor=page.cursor)

    @routes.get("/{job_id}", name="job", summary="Look at a job")
    async def show(request: Request, job_id: str, services: ServicesOf, owner: OwnerOf) -> JobReport:
        """Answer its state, its pictures and their files."""
        return await _in_thread(
            lambda: _described(request, services, services.studio.jobs.repository.get(owner, job_id))
        )


def _add_changing(routes: APIRouter) -> None:
    @routes.post("/{job_id}/cancel", name="cancel-job", summary="Stop a job")
    async def cancel(request: Request, job_id: str, services: ServicesOf, owner: OwnerOf) -> JobReport:
        """Stop it at once when it waits, at its next stage or tile when it runs; 409 when it has ended."""

        def work() -> JobReport:
            job = services.studio.jobs.repository.cancel(owner, job_id)
            services.engine.stop(job.id)
            return _described(request, services, job)

        return await _in_thread(work)

    @routes.post(
        "/{job_id}/retry",
        name="retry-job",
        summary="Do again what failed or was cancelled",
        responses={200: {"model": JobReport}},
    )
    async def retry(
        request: Request, job_id: str, services: ServicesOf, owner: OwnerOf, idempotent: IdempotentOf
    ) -> Response:
        """Queue it again; pictures that succeeded are not made twice. 409 for a job in another state."""

        def work() -> Response:
            job = services.studio.jobs.repository.retry(owner, job_id, also=idempotent.noting(job_id))
            services.engine.wake(job)
            return reply(job)

        def reply(job: Job) -> Response:
            return Response(_described(request, services, job).model_dump_json(), media_type="application/json")

        return await idempotent.noted(
            lambda: _in_thread(work), lambda ids: reply(services.studio.jobs.repository.get(owner, ids[0]))
        )

    @routes.delete("/{job_id}", name="delete-job", summary="Delete a job with its files")
    async def delete(job_id: str, services: ServicesOf, owner: OwnerOf) -> Deleted:
        """Delete the job, what it has made, and what was uploaded for it alone. 409 while it runs: cancel it first."""
        return Deleted(message=f"Job {await _in_thread(lambda: delete_job(services, owner, job_id))} deleted")


def _described(request: Request, services: Services, job: Job) -> JobReport:
    jobs = services.studio.jobs
    items = jobs.repository.items(job.owner, job.id)
    return report_of(request, job, items, jobs.blobs.artifacts(job.id), jobs.repository.position(job))
