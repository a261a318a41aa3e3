"""Enrolling people with pictures, and the search for a face among them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from fastapi import APIRouter, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError
from starlette.responses import Response

from facecraft.api.callers.owners import OwnerOf
from facecraft.api.dependencies import Services, ServicesOf
from facecraft.api.jobs.making import MakingOf
from facecraft.api.requests.forms import FileForm, FilesForm, form_of, takes
from facecraft.api.requests.json_bodies import JsonRoute
from facecraft.api.requests.uploads import BatchRoute, UploadRoute, read_upload
from facecraft.errors import DeadlineError, InvalidOptionError
from facecraft.galleries.choices import EnrollOptions, SearchOptions, VectorSearch
from facecraft.galleries.records import Details, EnrolledFace, Person
from facecraft.galleries.reports import EnrolledFaceRecord, EnrolledFacesPage, PersonRecord, SearchReport


class PersonForm(FilesForm):
    """A person to enroll."""

    name: str = Field(description="The name of the person: any script, 1 to 300 characters.")
    details: str = Field(default="{}", description="What to remember of the person: a JSON object, at most 4 KiB.")


def router() -> APIRouter:
    """Return the endpoints that need a network or search, for the router of galleries to take in."""
    routes = APIRouter()
    for part in (_vector_search(), _enrolling(), _picture_search()):
        routes.include_router(part)
    return routes


def _enrolling() -> APIRouter:
    routes = APIRouter(route_class=BatchRoute)

    @routes.post(
        "/{gallery_id}/people", status_code=201, summary="Enroll a person with pictures", response_model=PersonRecord
    )
    @takes(form_of(EnrollOptions, PersonForm, name="EnrollForm"))
    async def enroll(gallery_id: str, form: PersonForm, making: MakingOf, owner: OwnerOf) -> Response:
        """Enroll the chosen face of every file as one person. When one file will not do, it is named and nobody is
        enrolled."""
        details, options = _details(form.details), form.pick(EnrollOptions)

        def work() -> Response:
            person = making.services.studio.galleries.enroll_pictures(
                gallery_id,
                form.name,
                _read(form.files),
                options,
                names=[file.filename for file in form.files],
                details=details,
                owner=owner,
                cancel=making.ticket.cancel,
                added=lambda made: making.idempotent.noting(made.id),
            )
            return reply(person)

        def reply(person: Person) -> Response:
            model = making.services.studio.galleries.get(gallery_id, owner=owner).model_id
            return _json(PersonRecord.of(person, model).model_dump_json().encode(), 201)

        return await making.idempotent.noted(
            lambda: making.run(partial(making.counted, work)),
            lambda ids: reply(making.services.studio.galleries.person(gallery_id, ids[0], owner=owner)),
        )

    @routes.post(
        "/{gallery_id}/people/{person_id}/faces",
        status_code=201,
        summary="Add faces to a person",
        response_model=EnrolledFacesPage,
    )
    @takes(form_of(EnrollOptions, FilesForm, name="AddFacesForm"))
    async def add_faces(gallery_id: str, person_id: str, form: FilesForm, making: MakingOf, owner: OwnerOf) -> Response:
        """Add the chosen face of every file, all of them or none; the answer lists the new faces."""
        options = form.pick(EnrollOptions)

        def work() -> Response:
            faces = making.services.studio.galleries.add_pictures(
                gallery_id,
                person_id,
                _read(form.files),
                options,
                names=[file.filename for file in form.files],
                owner=owner,
                cancel=making.ticket.cancel,
                added=lambda made: making.idempotent.noting(*(face.id for face in made)),
            )
            return reply(faces)

        def reply(faces: Sequence[EnrolledFace]) -> Response:
            model = making.services.studio.galleries.get(gallery_id, owner=owner).model_id
            items = tuple(EnrolledFaceRecord.of(face, model) for face in faces)
            return _json(EnrolledFacesPage(model=model, items=items, cursor=None).model_dump_json().encode(), 201)

        return await making.idempotent.noted(
            lambda: making.run(partial(making.counted, work)),
            lambda ids: reply(making.services.studio.galleries.some_faces(gallery_id, person_id, ids, owner=owner)),
        )

    return routes


def _picture_search() -> APIRouter:
    routes = APIRouter(route_class=UploadRoute)
    vectors = {"application/json": {"schema": VectorSearch.model_json_schema()}}

    @routes.post(
        "/{gallery_id}/search",
        summary="Find a face in a gallery",
        response_model=SearchReport,
        openapi_extra={"requestBody": {"content": vectors}},
    )
    @takes(form_of(SearchOptions, FileForm, name="GallerySearchForm"))
    async def search(gallery_id: str, form: FileForm, making: MakingOf, owner: OwnerOf) -> Response:
        """Search for the faces of a picture (a form with a file), or for vectors (JSON with the id of their model).

        For every face the most similar people are answered, with the cosine similarity, as far as it reaches the
        threshold: the one sent, or the one that the model's authors state.
        """
        options = form.pick(SearchOptions)

        def work() -> bytes:
            report = making.services.studio.galleries.search_picture(
                gallery_id,
                read_upload(form.file),
                options,
                name=form.file.filename,
                owner=owner,
                cancel=making.ticket.cancel,
            )
            return report.model_dump_json().encode()

        return _json(await making.run(partial(making.counted, work)))

    return routes


def _vector_search() -> APIRouter:
    routes = APIRouter(route_class=JsonRoute)

    @routes.post("/{gallery_id}/search", include_in_schema=False, response_model=None)
    async def search_vectors(gallery_id: str, request: Request, services: ServicesOf, owner: OwnerOf) -> Response:
        """Described with the search for pictures."""
        with services.bench.admit() as ticket:
            try:
                async with asyncio.timeout_at(ticket.deadline):
                    body = await request.body()
            except TimeoutError as error:
                raise DeadlineError("The request took too long to arrive.") from error
            return _json(await services.bench.run(partial(_search, services, gallery_id, body, owner), ticket))

    return routes


def _search(services: Services, gallery_id: str, body: bytes, owner: str | None) -> bytes:
    try:
        wanted = VectorSearch.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_input=False, include_url=False)) from error
    report = services.studio.galleries.search_vectors(
        gallery_id, np.array(wanted.vectors, np.float64), wanted.model, wanted, owner=owner
    )
    return report.model_dump_json().encode()


def _read(files: Sequence[UploadFile]) -> Iterator[bytes]:
    for file in files:
        yield read_upload(file)


def _details(text: str) -> Details:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidOptionError("The details are not JSON.") from error
    if not isinstance(found, dict):
        raise InvalidOptionError("The details are not a JSON object.")
    return found


def _json(data: bytes, status: int = 200) -> Response:
    return Response(data, status, media_type="application/json")
