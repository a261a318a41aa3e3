"""People enrolled with their faces, and the search for a face among them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import Field, JsonValue, ValidationError
from starlette.responses import Response

from facecraft.api.callers.owners import OwnerOf
from facecraft.api.dependencies import Services, ServicesOf
from facecraft.api.jobs.making import MakingOf
from facecraft.api.requests.forms import FileForm, FilesForm, form_of, takes
from facecraft.api.requests.json_bodies import JsonRoute
from facecraft.api.requests.paging import Cursor, Limit
from facecraft.api.requests.uploads import BatchRoute, UploadRoute, read_upload
from facecraft.errors import DeadlineError, InvalidOptionError, ModelNotInstalledError
from facecraft.galleries.choices import EnrollOptions, NewGallery, SearchOptions, VectorSearch
from facecraft.galleries.records import Details
from facecraft.galleries.reports import (
    EnrolledFaceRecord,
    EnrolledFacesPage,
    GalleriesPage,
    GalleryRecord,
    PeoplePage,
    PersonRecord,
    SearchReport,
)
from facecraft.options import Options

T = TypeVar("T")

PREFIX = "/api/v1/galleries"
CROP_TYPE = "image/jpeg"


class GalleryChange(Options):
    """What changes of a gallery."""

    name: str
    """What people call it from now on."""


class PersonChange(Options):
    """What changes of a person; what is absent stays."""

    name: str | None = None
    """The new name."""
    details: dict[str, JsonValue] | None = None
    """The new details, in place of all the old ones."""


class PersonForm(FilesForm):
    """A person to enroll."""

    name: str = Field(description="The name of the person: any script, 1 to 300 characters.")
    details: str = Field(default="{}", description="What to remember of the person: a JSON object, at most 4 KiB.")


def router() -> APIRouter:
    """Return the endpoints of galleries."""
    routes = APIRouter(prefix=PREFIX, tags=["galleries"])
    _add_galleries(routes)
    _add_people(routes)
    _add_faces(routes)
    for part in (_vector_search(), _enrolling(), _picture_search()):
        routes.include_router(part)
    return routes


async def _kept(work: Callable[[], T]) -> T:
    """Do ``work`` on the database in a thread of its own: it needs no place among those for pictures."""
    return await anyio.to_thread.run_sync(work)


def _add_galleries(routes: APIRouter) -> None:
    @routes.post("", status_code=201, summary="Make an empty gallery")
    async def create_gallery(body: NewGallery, services: ServicesOf, owner: OwnerOf) -> GalleryRecord:
        """Make a gallery for the vectors of one installed model. Names need not differ.

        Without such a model the answer is 503 with the command that installs it.
        """

        def work() -> GalleryRecord:
            return GalleryRecord.of(services.studio.galleries.create_for(body.name, body.model, owner=owner))

        try:
            with services.bench.admit() as ticket:
                return await services.bench.run(work, ticket)
        except ModelNotInstalledError as error:
            raise services.installs.instead(error) from error

    @routes.get("", summary="List the galleries")
    async def list_galleries(
        services: ServicesOf, owner: OwnerOf, cursor: Cursor = None, limit: Limit = 50
    ) -> GalleriesPage:
        """Answer one page, the oldest first."""

        def work() -> GalleriesPage:
            page = services.studio.galleries.browse(owner=owner, cursor=cursor, limit=limit)
            return GalleriesPage(items=tuple(map(GalleryRecord.of, page.items)), cursor=page.cursor)

        return await _kept(work)

    @routes.get("/{gallery_id}", summary="Show one gallery")
    async def get_gallery(gallery_id: str, services: ServicesOf, owner: OwnerOf) -> GalleryRecord:
        """Answer its name, its model and how many people and faces it holds."""
        return await _kept(lambda: GalleryRecord.of(services.studio.galleries.get(gallery_id, owner=owner)))

    @routes.patch("/{gallery_id}", summary="Rename a gallery")
    async def rename_gallery(
        gallery_id: str, body: GalleryChange, services: ServicesOf, owner: OwnerOf
    ) -> GalleryRecord:
        """Give it another name. Its model cannot change."""
        return await _kept(
            lambda: GalleryRecord.of(services.studio.galleries.rename(gallery_id, body.name, owner=owner))
        )

    @routes.delete("/{gallery_id}", status_code=204, summary="Delete a gallery", response_class=Response)
    async def delete_gallery(gallery_id: str, services: ServicesOf, owner: OwnerOf) -> None:
        """Delete it with all its people, vectors and crops, for good."""
        await _kept(lambda: services.studio.galleries.delete(gallery_id, owner=owner))


def _add_people(routes: APIRouter) -> None:
    @routes.get("/{gallery_id}/people", summary="List the people of a gallery")
    async def list_people(
        gallery_id: str, services: ServicesOf, owner: OwnerOf, cursor: Cursor = None, limit: Limit = 50
    ) -> PeoplePage:
        """Answer one page in the order of enrollment."""

        def work() -> PeoplePage:
            galleries = services.studio.galleries
            model = galleries.get(gallery_id, owner=owner).model_id
            page = galleries.people(gallery_id, owner=owner, cursor=cursor, limit=limit)
            items = tuple(PersonRecord.of(person, model) for person in page.items)
            return PeoplePage(model=model, items=items, cursor=page.cursor)

        return await _kept(work)

    @routes.get("/{gallery_id}/people/{person_id}", summary="Show one person")
    async def get_person(gallery_id: str, person_id: str, services: ServicesOf, owner: OwnerOf) -> PersonRecord:
        """Answer the name, the details and how many faces are enrolled."""

        def work() -> PersonRecord:
            galleries = services.studio.galleries
            model = galleries.get(gallery_id, owner=owner).model_id
            return PersonRecord.of(galleries.person(gallery_id, person_id, owner=owner), model)

        return await _kept(work)

    @routes.patch("/{gallery_id}/people/{person_id}", summary="Change the name or the details of a person")
    async def change_person(
        gallery_id: str, person_id: str, body: PersonChange, services: ServicesOf, owner: OwnerOf
    ) -> PersonRecord:
        """Change what is sent and leave the rest. The faces stay."""

        def work() -> PersonRecord:
            galleries = services.studio.galleries
            model = galleries.get(gallery_id, owner=owner).model_id
            person = galleries.update_person(gallery_id, person_id, name=body.name, details=body.details, owner=owner)
            return PersonRecord.of(person, model)

        return await _kept(work)

    @routes.delete(
        "/{gallery_id}/people/{person_id}", status_code=204, summary="Delete a person", response_class=Response
    )
    async def delete_person(gallery_id: str, person_id: str, services: ServicesOf, owner: OwnerOf) -> None:
        """Delete the person with all vectors and crops, for good."""
        await _kept(lambda: services.studio.galleries.delete_person(gallery_id, person_id, owner=owner))


def _add_faces(routes: APIRouter) -> None:
    @routes.get("/{gallery_id}/people/{person_id}/faces", summary="List the faces of a person")
    async def list_faces(
        gallery_id: str,
        person_id: str,
        services: ServicesOf,
        owner: OwnerOf,
        *,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> EnrolledFacesPage:
        """Answer one page in the order of enrollment. Vectors are never answered."""

        def work() -> EnrolledFacesPage:
            galleries = services.studio.galleries
            model = galleries.get(gallery_id, owner=owner).model_id
            page = galleries.faces(gallery_id, person_id, owner=owner, cursor=cursor, limit=limit)
            items = tuple(EnrolledFaceRecord.of(face, model) for face in page.items)
            return EnrolledFacesPage(model=model, items=items, cursor=page.cursor)

        return await _kept(work)

    @routes.delete(
        "/{gallery_id}/people/{person_id}/faces/{face_id}",
        status_code=204,
        summary="Delete one face",
        response_class=Response,
    )
    async def delete_face(gallery_id: str, person_id: str, face_id: str, services: ServicesOf, owner: OwnerOf) -> None:
        """Delete its vector and its crop, for good; the person stays."""
        await _kept(lambda: services.studio.galleries.delete_face(gallery_id, person_id, face_id, owner=owner))

    @routes.get(
        "/{gallery_id}/people/{person_id}/faces/{face_id}/crop",
        summary="Fetch the crop of a face",
        response_class=Response,
        responses={200: {"content": {CROP_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
    )
    async def get_crop(gallery_id: str, person_id: str, face_id: str, services: ServicesOf, owner: OwnerOf) -> Response:
        """Answer the small picture that was kept of the face, not to be stored anywhere."""
        data = await _kept(lambda: services.studio.galleries.crop(gallery_id, person_id, face_id, owner=owner))
        headers = {"Cache-Control": "no-store", "Content-Disposition": 'inline; filename="face.jpg"'}
        return Response(data, media_type=CROP_TYPE, headers=headers)


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

        def work() -> bytes:
            galleries = making.services.studio.galleries
            person = galleries.enroll_pictures(
                gallery_id,
                form.name,
                _read(form.files),
                options,
                names=[file.filename for file in form.files],
                details=details,
                owner=owner,
                cancel=making.ticket.cancel,
            )
            model = galleries.get(gallery_id, owner=owner).model_id
            return PersonRecord.of(person, model).model_dump_json().encode()

        return _json(await making.run(partial(making.counted, work)), 201)

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

        def work() -> bytes:
            galleries = making.services.studio.galleries
            faces = galleries.add_pictures(
                gallery_id,
                person_id,
                _read(form.files),
                options,
                names=[file.filename for file in form.files],
                owner=owner,
                cancel=making.ticket.cancel,
            )
            model = galleries.get(gallery_id, owner=owner).model_id
            items = tuple(EnrolledFaceRecord.of(face, model) for face in faces)
            return EnrolledFacesPage(model=model, items=items, cursor=None).model_dump_json().encode()

        return _json(await making.run(partial(making.counted, work)), 201)

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
