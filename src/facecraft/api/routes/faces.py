"""Faces found, described, embedded and compared; and the presets that are about faces, under the same folder."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, UploadFile
from pydantic import Field
from starlette.responses import Response

from facecraft.api.jobs.making import Making, MakingOf
from facecraft.api.jobs.respond_async import RESPONSES as LATER
from facecraft.api.jobs.respond_async import respond_async
from facecraft.api.jobs.submitting import Order
from facecraft.api.requests.forms import FileForm, form_of, takes
from facecraft.api.requests.uploads import DeferringRoute, read_upload
from facecraft.api.routes.presets import add_preset, report_response, server_options
from facecraft.jobs.tasks import FacesTask
from facecraft.options import Options
from facecraft.pipelines.face_reports import CompareReport, EmbeddingsReport, FacesReport
from facecraft.pipelines.presets import PRESETS
from facecraft.pipelines.recognition import AttributesOptions, CompareOptions, DescribeOptions, EmbedOptions
from facecraft.settings import Settings
from facecraft.studio.performing import SECOND

FACE_PRESETS = ("swap", "restore", "upscale")
"""Presets that stand below ``/api/v1/faces``, too."""


class TwoFilesForm(Options):
    """A form with two pictures."""

    first: UploadFile = Field(description="A picture: JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or GIF.")
    second: UploadFile = Field(description="The picture to compare it with.")


def router(settings: Settings) -> APIRouter:
    """Return the face endpoints for a server with ``settings``."""
    routes = APIRouter(prefix="/api/v1/faces", tags=["faces"], route_class=DeferringRoute)
    _add_looking(routes, "detect", DescribeOptions, "Find every face; age, sex and quality when asked")
    _add_looking(routes, "attributes", AttributesOptions, "Guess apparent age and sex of every face")
    _add_embeddings(routes)
    _add_compare(routes)
    options = server_options(settings)
    for name in FACE_PRESETS:
        add_preset(routes, PRESETS[name], options[name], tags=["faces"])
    return routes


def _add_looking(routes: APIRouter, name: str, kind: type[DescribeOptions], summary: str) -> None:
    form_type = form_of(kind, FileForm, name=f"Faces{name.title()}Form")

    @routes.post(f"/{name}", name=f"faces-{name}", summary=summary, response_model=FacesReport, responses=LATER)
    @takes(form_type)
    async def look(form: FileForm, making: MakingOf) -> Response:
        """Answer every face with box, score, landmarks, roll, yaw and pitch. A picture without faces is not an error.

        A guess that is asked for needs a model for it; without one the answer is 503 with the command that installs it.
        """
        options = form.pick(kind)

        def work() -> bytes:
            report = making.services.studio.attributes(
                read_upload(form.file), options, name=form.file.filename, cancel=making.ticket.cancel
            )
            return report.model_dump_json().encode()

        return await _answer(making, Order(FacesTask(name=name, options=options), [form.file]), work)


def _add_embeddings(routes: APIRouter) -> None:
    @routes.post("/embeddings", summary="Turn faces into vectors", response_model=EmbeddingsReport, responses=LATER)
    @takes(form_of(EmbedOptions, FileForm, name="FacesEmbeddingsForm"))
    async def embeddings(form: FileForm, making: MakingOf) -> Response:
        """Answer a vector of length 1 for every chosen face, and the model that made them."""
        options = form.pick(EmbedOptions)

        def work() -> bytes:
            report = making.services.studio.embed(
                read_upload(form.file), options, name=form.file.filename, cancel=making.ticket.cancel
            )
            return report.model_dump_json().encode()

        return await _answer(making, Order(FacesTask(name="embeddings", options=options), [form.file]), work)


def _add_compare(routes: APIRouter) -> None:
    @routes.post(
        "/compare", summary="Tell whether two pictures show one person", response_model=CompareReport, responses=LATER
    )
    @takes(form_of(CompareOptions, TwoFilesForm, name="FacesCompareForm"))
    async def compare(form: TwoFilesForm, making: MakingOf) -> Response:
        """Answer the cosine similarity of the chosen faces (with faces=all: of every pair) and a verdict.

        The verdict is that of the model's authors unless a threshold is given; the false-match rate is told where they
        state one.
        """
        options = form.pick(CompareOptions)

        def work() -> bytes:
            report = making.services.studio.compare(
                read_upload(form.first),
                read_upload(form.second),
                options,
                names=(form.first.filename, form.second.filename),
                cancel=making.ticket.cancel,
            )
            return report.model_dump_json().encode()

        order = Order(FacesTask(name="compare", options=options), [form.first], {SECOND: form.second})
        return await _answer(making, order, work)


async def _answer(making: Making, order: Order, work: Callable[[], bytes]) -> Response:
    if making.prefers_job:
        return await respond_async(making, order, report_response)
    return Response(await making.run(lambda: making.counted(work)), media_type="application/json")
