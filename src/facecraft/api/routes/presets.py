"""One endpoint for each preset, detection, and pipelines as data: all derived from the options."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fastapi import APIRouter, Request, UploadFile
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import Response

from facecraft.api.artifacts import ending
from facecraft.api.forms import FileForm, PictureForm, companions_of, form_of, takes, with_defaults
from facecraft.api.making import Making, MakingOf
from facecraft.api.negotiation import wanted_format
from facecraft.api.uploads import UploadRoute
from facecraft.errors import PipelineError, UnknownModelError
from facecraft.faces.selection import FacePolicy
from facecraft.imaging.codecs import OutputFormat
from facecraft.jobs.results import new_job_id
from facecraft.options import Options
from facecraft.pipelines.pipeline import Pipeline
from facecraft.pipelines.presets import COMPANIONS, PRESETS, Preset
from facecraft.pipelines.recognition import FACES
from facecraft.pipelines.report import Report
from facecraft.pipelines.stages.detect import DetectOptions
from facecraft.settings import Settings
from facecraft.studio import Result

DETECT = "detect"
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
    routes = APIRouter(prefix="/api/v1", route_class=UploadRoute)
    for name, preset in PRESETS.items():
        add_preset(routes, preset, options[name])
    _add_detect(routes, form_of(options[DETECT], FileForm, name="DetectForm"))
    _add_pipeline(routes)
    return routes


def schemas(settings: Settings) -> APIRouter:
    """Return the endpoints that tell the options of the others."""
    routes = APIRouter(prefix="/api/v1", tags=["options"])
    looks = {f"faces-{name}": kind for name, kind in FACES.items()}
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
        responses={200: {"content": IMAGES}},
    )
    @takes(form_type)
    async def run_preset(request: Request, form: PictureForm, making: MakingOf) -> Response:
        """Answer JSON with links, or the file itself when the Accept header asks for a picture type."""
        options = form.pick(preset)
        direct = wanted_format(request.headers.get("accept", ""), options.formats)
        pipeline = (options if direct is None else options.with_changes(formats=(direct,))).pipeline()
        return await _made(making, form, pipeline, direct, companions_of(form, preset.companions))


def _add_pipeline(routes: APIRouter) -> None:
    @routes.post(
        "/pipelines/run",
        name="pipeline",
        summary="Run a pipeline given as JSON",
        tags=["pictures"],
        response_model=PictureReply,
        responses={200: {"content": IMAGES}},
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
        return await _made(making, form, pipeline, direct, companions_of(form, _OF_A_PIPELINE))


def _add_detect(routes: APIRouter, form_type: type[FileForm]) -> None:
    @routes.post("/detect", name=DETECT, summary="Find every face", tags=["pictures"], response_model=Report)
    @takes(form_type)
    async def detect(form: FileForm, making: MakingOf) -> Response:
        """Answer the report: faces with boxes, scores, landmarks and roll."""

        def work() -> bytes:
            found = making.make(Pipeline.of(detect=form.pick(DetectOptions)), form.file, write=False)
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
    pipeline: Pipeline,
    direct: OutputFormat | None,
    pictures: Mapping[str, UploadFile | None],
) -> Response:
    """Run ``pipeline`` and answer with the file in format ``direct``, or with JSON."""

    def work() -> Response:
        result = making.make(pipeline, form.file, references=pictures)
        if direct is not None:
            return _direct(result)
        job_id = new_job_id()
        making.keep(job_id, result)
        reply = PictureReply(
            job_id=job_id,
            artifacts=[
                Artifact(
                    format=output.format,
                    media_type=output.format.media_type,
                    url=making.link(job_id, ending(output.format)),
                    width=output.size.width,
                    height=output.size.height,
                    bytes=len(output.data),
                    base64=base64.b64encode(output.data).decode() if form.return_base64 else None,
                )
                for output in result.outputs
            ],
            report=result.report,
        )
        headers = {"Server-Timing": _timing(result.report), "X-Facecraft-Job-Id": job_id, "Vary": "Accept"}
        return Response(reply.model_dump_json(), media_type="application/json", headers=headers)

    return await making.run(work)


def _direct(result: Result) -> Response:
    """Answer the one file of ``result``; nothing of it is kept on the server."""
    output = result.outputs[0]
    headers = {
        "Content-Disposition": f'inline; filename="facecraft{output.format.suffix}"',
        "Server-Timing": _timing(result.report),
        "X-Facecraft-Faces": str(len(result.report.faces)),
        "Vary": "Accept",
    }
    return Response(output.data, media_type=output.format.media_type, headers=headers)


def _timing(report: Report) -> str:
    return ", ".join(f"{record.stage};dur={record.milliseconds}" for record in report.stages)
