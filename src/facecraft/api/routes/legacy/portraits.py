"""The endpoints of Facecraft 1.0, field by field, over the same pipeline."""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.responses import Response

from facecraft.api.jobs.artifacts import Kept, record
from facecraft.api.jobs.forms import preset_task
from facecraft.api.jobs.making import Making, MakingOf
from facecraft.api.problems import answer
from facecraft.api.requests.forms import takes, with_defaults
from facecraft.api.requests.limits import MIB
from facecraft.api.requests.uploads import BatchRoute, UploadRoute
from facecraft.api.routes.legacy.options import (
    BatchForm,
    BatchOptions,
    ProcessForm,
    ProcessOptions,
    QuickForm,
    QuickOptions,
    defaults,
)
from facecraft.api.routes.legacy.replies import (
    BatchItem,
    BatchReply,
    Links,
    OutputSize,
    Position,
    ProcessReply,
    ProcessResult,
    without_files,
)
from facecraft.db.ids import new_id
from facecraft.errors import CancelledError, FacecraftError
from facecraft.imaging.codecs import OutputFormat
from facecraft.jobs.job import Failure
from facecraft.pipelines.pipeline import Pipeline
from facecraft.pipelines.report import Report
from facecraft.settings import Settings
from facecraft.studio import Result
from facecraft.studio.performing import products_of

BASE64_BYTES = 32 * MIB
"""Files of one batch that its reply may carry in base64, together."""


class Room:
    """A number of bytes that threads share and use up."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = Lock()

    def take(self, size: int) -> bool:
        """Take ``size`` bytes and say whether that many were left; none are taken otherwise."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True


def _links(making: Making, job_id: str, result: Result, *, item: int = 0, with_files: bool) -> Links:
    """Say where the files of ``result`` are."""
    return Links(
        download_url=making.link(job_id, "png", item),
        png_url=making.link(job_id, "png", item),
        jpg_url=making.link(job_id, "jpg", item),
        png_base64=base64.b64encode(result["png"]).decode() if with_files else None,
        jpg_base64=base64.b64encode(result["jpg"]).decode() if with_files else None,
    )


def router(settings: Settings) -> APIRouter:
    """Return the endpoints of Facecraft 1.0 for a server with ``settings``."""
    routes = APIRouter(prefix="/api/v1", tags=["Facecraft 1.0"], route_class=UploadRoute)
    batch = APIRouter(route_class=BatchRoute)
    _add_process(routes, settings)
    _add_quick(routes, settings)
    _add_batch(batch, settings)
    routes.include_router(batch)
    return routes


def _add_process(routes: APIRouter, settings: Settings) -> None:
    @routes.post("/process", name="process", summary="Make a portrait", response_model=ProcessReply)
    @takes(with_defaults(ProcessForm, defaults(settings, ProcessOptions)))
    async def process(form: ProcessForm, making: MakingOf) -> Response:
        """Answer what was found and where the files are; 422 with ``success: false`` when there is no face."""
        job_id, start = new_id(), time.perf_counter()
        task = preset_task(
            form.portrait(settings, width=form.width, height=form.height, formats=(OutputFormat.PNG, OutputFormat.JPEG))
        )

        def work() -> Response:
            result = making.make(task.pipeline, form.file)

            def reply(*, with_files: bool) -> Response:
                links = _links(making, job_id, result, with_files=with_files)
                took, found = _since(start), _found(result.report, oval=form.use_oval_mask)
                body = ProcessReply(
                    success=True, job_id=job_id, processing_time_ms=took, result=found, **links.model_dump()
                )
                return _json(body)

            making.keep(job_id, task, result, name=form.file.filename, reply=reply(with_files=False))
            return reply(with_files=form.return_base64)

        async def made() -> Response:
            try:
                return await making.run(work)
            except FacecraftError as error:
                failed = ProcessReply(
                    success=False,
                    job_id=job_id,
                    processing_time_ms=_since(start),
                    error=error.code,
                    error_message=error.public_message.rstrip("."),
                )
                return answer(making.request.scope, error, failed.model_dump())

        return await making.idempotent(made)


def _add_quick(routes: APIRouter, settings: Settings) -> None:
    @routes.post(
        "/process/quick",
        name="quick",
        summary="Make a portrait and answer the PNG itself",
        response_class=Response,
        responses={200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}},
    )
    @takes(with_defaults(QuickForm, defaults(settings, QuickOptions)))
    async def quick(form: QuickForm, making: MakingOf) -> Response:
        """Nothing is kept on the server."""
        pipeline = form.portrait(settings, width=form.size, height=form.size, formats=(OutputFormat.PNG,)).pipeline()
        data = await making.run(lambda: making.make(pipeline, form.file)["png"])
        headers = {"Content-Disposition": 'inline; filename="facecraft.png"'}
        return Response(data, media_type="image/png", headers=headers)


def _add_batch(routes: APIRouter, settings: Settings) -> None:
    @routes.post("/process/batch", name="batch", summary="Make many portraits", response_model=BatchReply)
    @takes(with_defaults(BatchForm, defaults(settings, BatchOptions)))
    async def batch(form: BatchForm, making: MakingOf) -> Response:
        """Answer one result for each picture, in the order they were sent. A bad one does not stop the rest."""
        job_id, start = new_id(), time.perf_counter()
        task = preset_task(
            form.portrait(settings, width=form.width, height=form.height, formats=(OutputFormat.PNG, OutputFormat.JPEG))
        )
        places = asyncio.Semaphore(making.services.bench.places)  # a batch does not push others out of the line
        room = Room(BASE64_BYTES) if form.return_base64 else None
        total = len(form.files)

        async def one(position: int, upload: UploadFile) -> tuple[BatchItem, Kept]:
            async with places:
                return await _item(making, _Place(job_id, position, total), task.pipeline, upload, room)

        def reply(items: list[BatchItem]) -> Response:
            successful = sum(item.success for item in items)
            body = BatchReply(
                job_id=job_id,
                total=total,
                successful=successful,
                failed=total - successful,
                processing_time_ms=_since(start),
                results=items,
            )
            return _json(body)

        async def made() -> Response:
            done = await asyncio.gather(*itertools.starmap(one, enumerate(form.files)), return_exceptions=True)

            def finish() -> Response:
                items, kept = _all_or_none(making, done)
                also = making.idempotent.keeping(reply([without_files(item) for item in items]))
                record(making.services, making.owner, job_id, task, kept, also=also)
                return reply(items)

            return await making.services.bench.run(finish)

        return await making.idempotent(made)


@dataclass(frozen=True, slots=True)
class _Place:
    """Which picture of which job."""

    job_id: str
    position: int
    total: int


async def _item(
    making: Making, place: _Place, pipeline: Pipeline, upload: UploadFile, room: Room | None
) -> tuple[BatchItem, Kept]:
    """Make one picture of a batch, with its files in base64 while there is ``room``; None asks for none.

    Nothing but the item is held afterwards: what a batch has made so far would be gigabytes.
    """
    name = upload.filename or ""

    def work() -> tuple[BatchItem, Kept]:
        result = making.make(pipeline, upload)
        making.ticket.cancel.check()
        blobs = making.services.studio.jobs.blobs
        products = products_of(result)
        files = blobs.save(making.owner, place.job_id, products, position=place.position, total=place.total)
        fits = room is not None and room.take(len(result["png"]) + len(result["jpg"]))
        links = _links(making, place.job_id, result, item=place.position, with_files=fits)
        omitted = room is not None and not fits
        item = BatchItem(filename=name, success=True, job_id=place.job_id, base64_omitted=omitted, **links.model_dump())
        return item, Kept(name, files)

    try:
        return await making.run(work)
    except CancelledError:
        raise
    except FacecraftError as error:
        message = error.public_message.rstrip(".")
        item = BatchItem(filename=name, success=False, error=error.code, error_message=message)
        return item, Kept(name, failure=Failure.of(error))


def _all_or_none(
    making: Making, done: Sequence[tuple[BatchItem, Kept] | BaseException]
) -> tuple[list[BatchItem], list[Kept]]:
    """Return what became of every picture. Raises what ended the batch; its files are forgotten then."""
    finished = [each for each in done if not isinstance(each, BaseException)]
    for each in done:
        if isinstance(each, BaseException):
            making.services.studio.jobs.blobs.discard([blob for _, kept in finished for blob in kept.files])
            raise each
    return [item for item, _ in finished], [kept for _, kept in finished]


def _json(reply: BaseModel) -> Response:
    return Response(reply.model_dump_json(), media_type="application/json")


def _found(report: Report, *, oval: bool) -> ProcessResult:
    box = next(face.box for face in report.faces if face.chosen)
    outputs = {output.format: output for output in report.outputs}
    png = outputs[OutputFormat.PNG.value]
    return ProcessResult(
        face_detected=True,
        face_count=len(report.faces),
        face_position=Position(x=round(box.x), y=round(box.y), width=round(box.width), height=round(box.height)),
        output_size=OutputSize(width=png.width, height=png.height),
        file_size_bytes=(png if oval else outputs[OutputFormat.JPEG.value]).bytes,
    )


def _since(start: float) -> int:
    return round((time.perf_counter() - start) * 1000)
