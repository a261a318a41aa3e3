"""One endpoint for each preset, detection, and pipelines as data: all derived from the options."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fastapi import APIRouter, Request, UploadFile
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import Response

from facecraft.api.jobs.artifacts import ending
from facecraft.api.jobs.forms import detect_task, preset_task
from facecraft.api.jobs.making import Making, MakingOf
from facecraft.api.jobs.respond_async import RESPONSES as LATER
from facecraft.api.jobs.respond_async import Finished, respond_async
from facecraft.api.jobs.submitting import Order
from facecraft.api.requests.forms import FileForm, PictureForm, companions_of, form_of, takes, with_defaults
from facecraft.api.requests.negotiation import wanted_format
from facecraft.api.requests.uploads import DeferringRoute
from facecraft.db.ids import new_id
from facecraft.errors import PipelineError, UnknownModelError
from facecraft.faces.selection import FacePolicy
from facecraft.imaging.codecs import OutputFormat
from facecraft.jobs.performing import REPORT
from facecraft.jobs.tasks import DETECT, FACES_PREFIX, PipelineTask
from facecraft.options import Options
from facecraft.pipelines.pipeline import Pipeline
from facecraft.pipelines.presets import COMPANIONS, PRESETS, Preset
from facecraft.pipelines.recognition import FACES
from facecraft.pipelines.report import Report
from facecraft.pipelines.stages.detect import DetectOptions
from facecraft.settings import Settings

IMAGES = {kind.media_type: {"schema": {"type": "string", "format": "binary"}} for kind in OutputFormat}


class Artifact(BaseModel):
    """One finished file and where to fetch it."""

    format: str
    media_type: str
    url: str
    width: int
    height: int
    bytes: int
    base64: str | None = None


class PictureReply(BaseModel):
    """A finished picture: its files, and the report of how they came about."""

    job_id: str
    artifacts: list[Artifact]
    report: Report


class PipelineText(Options):
    """A picture and the pipeline to run on it."""

    pipeline: str = Field(max_length=60_000, description="The pipeline as JSON: version, steps, output.")


_OF_A_PIPELINE = tuple(replace(companion, required=False) for companion in COMPANIONS)
"""Whether a picture is needed is known when its stage runs."""


def server_options(settings: Settings) -> Mapping[str, type[Preset] | type[DetectOptions]]:
    """Return the options of every derived endpoint by its name, with this server's defaults."""
    named: dict[str, type[Preset] | type[DetectOptions]] = {
        name: with_defaults(preset, settings.portrait if isinstance(settings.portrait, preset) else preset())
        for name, preset in PRESETS.items()
    }
    return {**named, DETECT: with_defaults(DetectOptions, DetectOptions(faces=FacePolicy.ALL))}


def router(settings: Settings) -> APIRouter:
    """Return the derived endpoints for a server with ``settings``."""
    options = server_options(settings)
    routes = APIRouter(prefix="/api/v1", route_class=DeferringRoute)
    for name, preset in PRESETS.items():
        add_preset(routes, preset, options[name])
    _add_detect(routes, form_of(options[DETECT], FileForm, name="DetectForm"))
    _add_pipeline(routes)
    return routes


def schemas(settings: Settings) -> APIRouter:
    """Return the endpoints that tell the options of the others."""
    routes = APIRouter(prefix="/api/v1", tags=["options"])
    looks = {f"{FACES_PREFIX}{name}": kind for name, kind in FACES.items()}
    _add_schemas(routes, {**server_options(settings), **looks})
    return routes


def add_preset(
    routes: APIRouter,
    preset: type[Preset],
    options_type: type[Options],
    *,
    tags: Sequence[str] = ("pictures",),
) -> None:
    """Add the endpoint of ``preset`` to ``routes``; ``options_type`` are its options with this server's defaults."""
    form_type = form_of(options_type, PictureForm, name=f"{preset.name.title()}Form", companions=preset.companions)

    @routes.post(
        f"/{preset.name}",
        name=preset.name,
        summary=preset.summary,
        tags=list(tags),
        response_model=PictureReply,
        responses={200: {"content": IMAGES}, **LATER},
    )
    @takes(form_type)
    async def run_preset(request: Request, form: PictureForm, making: MakingOf) -> Response:
        """Answer JSON with links, or the file itself when the Accept header asks for a picture type."""
        options = form.pick(preset)
        direct = wanted_format(request.headers.get("accept", ""), options.formats)
        task = preset_task(options if direct is None else options.with_changes(formats=(direct,)))
        return await _made(making, form, task, direct, companions_of(form, preset.companions))


def _add_pipeline(routes: APIRouter) -> None:
    @routes.post(
        "/pipelines/run",
        name="pipeline",
        summary="Run a pipeline given as JSON",
        tags=["pictures"],
        response_model=PictureReply,
        responses={200: {"content": IMAGES}, **LATER},
    )
    @takes(form_of(PipelineText, PictureForm, name="PipelineForm", companions=_OF_A_PIPELINE))
    async def run_pipeline(request: Request, form: PictureForm, making: MakingOf) -> Response:
        """Answer as the presets do."""
        try:
            pipeline = Pipeline.model_validate_json(form.pick(PipelineText).pipeline)
        except ValidationError as error:
            places = ", ".join(dict.fromkeys(".".join(map(str, item["loc"])) for item in error.errors()))
            raise PipelineError(
                f"The pipeline is not valid: {places[:200] or 'it is not JSON'}.",
                hint="See /api/v1/options for stages and their options.",
            ) from error
        direct = wanted_format(request.headers.get("accept", ""), pipeline.output.formats)
        if direct is not None:
            output = pipeline.output.with_changes(formats=(direct,))
            pipeline = pipeline.model_copy(update={"output": output})
        task = PipelineTask(pipeline=pipeline)
        return await _made(making, form, task, direct, companions_of(form, _OF_A_PIPELINE))


def _add_detect(routes: APIRouter, form_type: type[FileForm]) -> None:
    @routes.post(
        "/detect", name=DETECT, summary="Find every face", tags=["pictures"], response_model=Report, responses=LATER
    )
    @takes(form_type)
    async def detect(form: FileForm, making: MakingOf) -> Response:
        """Answer the report: faces with boxes, scores, landmarks and roll."""
        task = detect_task(form.pick(DetectOptions))
        if making.prefers_job:
            return await respond_async(making, Order(task, [form.file]), report_response)

        def work() -> bytes:
            found = making.make(task.pipeline, form.file, write=False)
            return found.report.model_dump_json().encode()

        return Response(await making.run(work), media_type="application/json")


def _add_schemas(routes: APIRouter, options: Mapping[str, type[Options]]) -> None:
    schemas = {name: kind.model_json_schema() for name, kind in options.items()}

    @routes.get("/options", summary="The options of every endpoint as JSON schemas")
    async def all_options() -> dict[str, dict[str, object]]:
        """Answer the schemas by the name of the endpoint, with this server's defaults."""
        return schemas

    @routes.get("/options/{preset}", summary="The options of one endpoint as a JSON schema")
    async def one_options(preset: str) -> dict[str, object]:
        """Answer the schema, with this server's defaults."""
        if preset not in schemas:
            raise UnknownModelError("There is no preset of this name.", hint=f"The presets are {', '.join(schemas)}.")
        return schemas[preset]


async def _made(
    making: Making,
    form: PictureForm,
    task: PipelineTask,
    direct: OutputFormat | None,
    pictures: Mapping[str, UploadFile | None],
) -> Response:
    """Do ``task`` and answer with the file in format ``direct``, or with JSON; or with a job, for who prefers one."""

    def show(finished: Finished) -> Response:
        report = Report.model_validate_json(finished.read(REPORT))
        if direct is not None:
            return _direct(finished.read(f"result{direct.suffix}"), direct, report)
        read = finished.read if form.return_base64 else None
        return _reply(making, finished.job.id, report, read)

    if making.prefers_job:
        given = {role: file for role, file in pictures.items() if file is not None}
        return await respond_async(making, Order(task, [form.file], given), show)

    def work() -> Response:
        result = making.make(task.pipeline, form.file, references=pictures)
        if direct is not None:
            return _direct(result.outputs[0].data, direct, result.report)
        job_id = new_id()
        plain = _reply(making, job_id, result.report, None)
        making.keep(job_id, task, result, name=form.file.filename, reply=plain)
        made = {f"result{output.format.suffix}": output.data for output in result.outputs}
        return _reply(making, job_id, result.report, made.__getitem__ if form.return_base64 else None)

    if direct is not None:  # nothing is kept of it: to make it again makes nothing more
        return await making.run(work)
    return await making.idempotent(lambda: making.run(work))


def _reply(making: Making, job_id: str, report: Report, read: Callable[[str], bytes] | None) -> Response:
    """Answer links to the files of a job, and with ``read`` the files themselves, too."""
    formats = {output: OutputFormat(output.format) for output in report.outputs}
    reply = PictureReply(
        job_id=job_id,
        artifacts=[
            Artifact(
                format=kind,
                media_type=kind.media_type,
                url=making.link(job_id, ending(kind)),
                width=output.width,
                height=output.height,
                bytes=output.bytes,
                base64=None if read is None else base64.b64encode(read(f"result{kind.suffix}")).decode(),
            )
            for output, kind in formats.items()
        ],
        report=report,
    )
    headers = {"Server-Timing": _timing(report), "X-Facecraft-Job-Id": job_id, "Vary": "Accept, Prefer"}
    return Response(reply.model_dump_json(), media_type="application/json", headers=headers)


def _direct(data: bytes, kind: OutputFormat, report: Report) -> Response:
    """Answer one file; nothing of it is kept on the server unless it was a job."""
    headers = {
        "Content-Disposition": f'inline; filename="facecraft{kind.suffix}"',
        "Server-Timing": _timing(report),
        "X-Facecraft-Faces": str(len(report.faces)),
        "Vary": "Accept, Prefer",
    }
    return Response(data, media_type=kind.media_type, headers=headers)


def report_response(finished: Finished) -> Response:
    """Answer the report of a job that was waited for."""
    return Response(finished.read(REPORT), media_type="application/json")


def _timing(report: Report) -> str:
    return ", ".join(f"{record.stage};dur={record.milliseconds}" for record in report.stages)
