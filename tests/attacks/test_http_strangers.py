"""What belongs to one user is not there for another: one table of routes, for every kind of thing.

A new kind of thing is a function that makes one for a user and the calls that reach it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import httpx
import numpy as np
import pytest

from facecraft.accounts.records import OPERATOR, Scope
from facecraft.db.ids import new_id
from facecraft.db.opening import open_database
from facecraft.galleries.galleries import Galleries
from facecraft.galleries.records import NewFace
from facecraft.jobs import blob_rows
from facecraft.jobs.job import Item, NewJob
from facecraft.jobs.performing import Product
from facecraft.jobs.tasks import PipelineTask
from facecraft.pipelines.pipeline import Pipeline
from services.people import PASSWORD, SECRET, Person, key_for, signed_in

V1 = "/api/v1"
OUTSIDE = ("/status", "/images")
"""Paths of the restoration web app: they stand at the top."""
COPY = {"kind": "pipeline", "name": "copy", "pipeline": {}}
OPERATORS_KEY = "0123456789abcdef-key"


@dataclass(frozen=True)
class Thing:
    """Something that belongs to a user: the names in its paths, and how it is listed."""

    names: dict[str, str]
    listed: str | None
    """The path of the list in which its owner finds it; None: there is no list."""


class Call(NamedTuple):
    """Something that can be done to a thing."""

    kind: str
    method: str
    path: str
    body: object

    def send(self, client: httpx.Client, names: dict[str, str]) -> httpx.Response:
        body = self.body
        if isinstance(body, dict) and "blobs" in body:
            body = {**body, "blobs": [each.format(**names) for each in body["blobs"]]}
        return client.request(
            self.method, ("" if self.path.startswith(OUTSIDE) else V1) + self.path.format(**names), json=body
        )


def gallery(door: object, owner: str | None) -> Thing:
    """A gallery with one person who has one face."""
    with open_database(door.settings.database, migrate=True) as database:
        galleries = Galleries(database)
        made = galleries.create("mine", "sface", owner=owner)
        person = galleries.enroll(
            made.id, "Cy", [NewFace(np.eye(1, 128, dtype=np.float32)[0])], model_id="sface", owner=owner
        )
        (face,) = galleries.faces(made.id, person.id, owner=owner).items
    return Thing({"gallery": made.id, "person": person.id, "face": face.id}, "/galleries")


def job(door: object, owner: str | None) -> Thing:
    """A job that has made one file."""
    jobs = door.app.state.services.studio.jobs
    job_id = new_id()
    made = jobs.blobs.save(owner, job_id, [Product("result.png", "image/png", b"bytes")], position=0, total=1)
    new = NewJob(owner, PipelineTask(name="copy", pipeline=Pipeline()), (Item(0, "a.png", {}),))
    jobs.repository.record(new, job_id=job_id, also=partial(blob_rows.place, blobs=made))
    return Thing({"job": job_id}, "/jobs")


def upload(door: object, owner: str | None) -> Thing:
    """A picture that was uploaded."""
    blobs = door.app.state.services.studio.jobs.blobs
    return Thing({"blob": blobs.receive(owner, b"x", name="a.png", media_type="image/png", expires_at=None).id}, None)


MAKERS: dict[str, Callable[[object, str | None], Thing]] = {"gallery": gallery, "job": job, "upload": upload}
"""Everything that can belong to a user."""

CALLS: list[Call] = [
    Call("gallery", "GET", "/galleries/{gallery}", None),
    Call("gallery", "PATCH", "/galleries/{gallery}", {"name": "taken"}),
    Call("gallery", "GET", "/galleries/{gallery}/people", None),
    Call("gallery", "GET", "/galleries/{gallery}/people/{person}", None),
    Call("gallery", "PATCH", "/galleries/{gallery}/people/{person}", {"name": "taken"}),
    Call("gallery", "GET", "/galleries/{gallery}/people/{person}/faces", None),
    Call("gallery", "GET", "/galleries/{gallery}/people/{person}/faces/{face}/crop", None),
    Call("gallery", "POST", "/galleries/{gallery}/search", {"vectors": [[1.0] + [0.0] * 127], "model": "sface"}),
    Call("gallery", "DELETE", "/galleries/{gallery}/people/{person}/faces/{face}", None),
    Call("gallery", "DELETE", "/galleries/{gallery}/people/{person}", None),
    Call("gallery", "DELETE", "/galleries/{gallery}", None),
    Call("job", "GET", "/jobs/{job}", None),
    Call("job", "GET", "/jobs/{job}/events", None),
    Call("job", "GET", "/jobs/{job}/artifacts/result.png", None),
    Call("job", "GET", "/jobs/{job}/artifacts.zip", None),
    Call("job", "GET", "/download/{job}/png", None),
    Call("job", "GET", "/status/{job}", None),
    Call("job", "GET", "/images/{job}/restored.png", None),
    Call("job", "POST", "/jobs", {"blobs": ["job:{job}/result.png"], "task": COPY}),
    Call("job", "POST", "/jobs/{job}/cancel", None),
    Call("job", "POST", "/jobs/{job}/retry", None),
    Call("job", "DELETE", "/jobs/{job}", None),
    Call("upload", "GET", "/blobs/{blob}", None),
    Call("upload", "GET", "/blobs/{blob}/content", None),
    Call("upload", "POST", "/jobs", {"blobs": ["{blob}"], "task": COPY}),
    Call("upload", "DELETE", "/blobs/{blob}", None),
]
"""What can be done to each: kind, method, path, JSON body. Those that destroy come last."""
# The faces that are made here have no crop.
_OWNER_FINDS_NOTHING = {"/galleries/{gallery}/people/{person}/faces/{face}/crop"}


@pytest.fixture(scope="module")
def door(open_door: Callable[..., object]) -> object:
    return open_door(jwt_secret_key=SECRET, api_key=OPERATORS_KEY)


@pytest.fixture(scope="module")
def ann(door: object) -> Iterator[Person]:
    with signed_in(door, "ann@example.org") as person:
        yield person


@pytest.fixture(scope="module")
def strangers(door: object, ann: Person) -> Iterator[dict[str, httpx.Client]]:
    """Everybody else: another user, the operator, and a key of the operator."""
    address = door.client.base_url
    with (
        signed_in(door, "eve@example.org") as eve,
        httpx.Client(base_url=address, headers={"X-API-Key": OPERATORS_KEY}) as operator,
        httpx.Client(base_url=address, headers={"X-API-Key": key_for(door, *Scope)}) as key,
    ):
        yield {"another user": eve.client, "the operator": operator, "a key of the operator": key}


@pytest.fixture(scope="module")
def things(door: object, ann: Person) -> dict[str, Thing]:
    return {kind: make(door, ann.user.id) for kind, make in MAKERS.items()}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
@pytest.mark.parametrize("who", ["another user", "the operator", "a key of the operator"])
def test_a_stranger_finds_nothing(
    strangers: dict[str, httpx.Client], things: dict[str, Thing], who: str, call: Call
) -> None:
    reply = call.send(strangers[who], things[call.kind].names)
    assert reply.status_code == 404, reply.text
    unknown = dict.fromkeys(things[call.kind].names, "01900000-0000-7000-8000-000000000000")
    missing = call.send(strangers[who], unknown)
    assert (missing.status_code, missing.json()["code"]) == (404, reply.json()["code"])


@pytest.mark.parametrize("kind", MAKERS)
def test_a_strangers_list_is_empty(strangers: dict[str, httpx.Client], things: dict[str, Thing], kind: str) -> None:
    if things[kind].listed is None:
        return
    for client in strangers.values():
        assert client.get(V1 + things[kind].listed).json()["items"] == []


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_without_saying_who_one_is_nothing_is_answered(door: object, things: dict[str, Thing], call: Call) -> None:
    assert call.send(door.client, things[call.kind].names).status_code == 401


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_its_owner_finds_it(door: object, ann: Person, call: Call) -> None:
    """The table is right: each call does reach something."""
    thing = MAKERS[call.kind](door, ann.user.id)
    reply = call.send(ann.client, thing.names)
    assert (reply.status_code == 404) == (call.path in _OWNER_FINDS_NOTHING), reply.text
    assert reply.status_code != 422, reply.text


def test_what_is_nobodys_is_the_operators(door: object, strangers: dict[str, httpx.Client], ann: Person) -> None:
    thing = gallery(door, OPERATOR.owner)
    path = f"{V1}/galleries/{thing.names['gallery']}"
    assert ann.client.get(path).status_code == strangers["another user"].get(path).status_code == 404
    for who in ("the operator", "a key of the operator"):
        assert strangers[who].get(path).status_code == 200
    strangers["the operator"].delete(path)


def test_a_deleted_user_leaves_nothing(door: object) -> None:
    with signed_in(door, "fay@example.org") as fay:
        for make in MAKERS.values():
            make(door, fay.user.id)
        assert fay.client.request("DELETE", f"{V1}/account", json={"password": PASSWORD}).status_code == 204
        with open_database(door.settings.database, migrate=False) as database:
            assert Galleries(database).browse(owner=fay.user.id).items == ()
