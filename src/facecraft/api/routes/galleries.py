"""Galleries, their people and the faces of these: listed, shown, changed and deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from fastapi import APIRouter
from pydantic import JsonValue
from starlette.responses import Response

from facecraft.api.callers.owners import OwnerOf
from facecraft.api.dependencies import ServicesOf
from facecraft.api.requests.idempotency import IdempotentOf
from facecraft.api.requests.paging import Cursor, Limit
from facecraft.api.routes import gallery_faces
from facecraft.errors import ModelNotInstalledError
from facecraft.galleries.choices import NewGallery
from facecraft.galleries.records import Gallery
from facecraft.galleries.reports import (
    EnrolledFaceRecord,
    EnrolledFacesPage,
    GalleriesPage,
    GalleryRecord,
    PeoplePage,
    PersonRecord,
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


def router() -> APIRouter:
    """Return the endpoints of galleries."""
    routes = APIRouter(prefix=PREFIX, tags=["galleries"])
    _add_creation(routes)
    _add_galleries(routes)
    _add_people(routes)
    _add_faces(routes)
    routes.include_router(gallery_faces.router())
    return routes


async def _kept(work: Callable[[], T]) -> T:
    """Do ``work`` on the database in a thread of its own: it needs no place among those for pictures."""
    return await anyio.to_thread.run_sync(work)


def _add_creation(routes: APIRouter) -> None:
    @routes.post("", status_code=201, summary="Make an empty gallery", response_model=GalleryRecord)
    async def create_gallery(
        body: NewGallery, services: ServicesOf, owner: OwnerOf, idempotent: IdempotentOf
    ) -> Response:
        """Make a gallery for the vectors of one installed model. Names need not differ.

        Without such a model the answer is 503 with the command that installs it.
        """

        def work() -> Response:
            return reply(
                services.studio.galleries.create_for(
                    body.name, body.model, owner=owner, added=lambda made: idempotent.noting(made.id)
                )
            )

        def reply(gallery: Gallery) -> Response:
            return Response(GalleryRecord.of(gallery).model_dump_json(), 201, media_type="application/json")

        async def make() -> Response:
            try:
                with services.bench.admit() as ticket:
                    return await services.bench.run(work, ticket)
            except ModelNotInstalledError as error:
                raise services.installs.instead(error) from error

        return await idempotent.noted(make, lambda ids: reply(services.studio.galleries.get(ids[0], owner=owner)))


def _add_galleries(routes: APIRouter) -> None:
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
