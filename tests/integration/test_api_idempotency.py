"""Idempotency keys on the real routes, and webhooks that hear of the real jobs behind them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook as Verifier

from facecraft.db.tables import BLOBS, IDEMPOTENCY, METADATA
from facecraft.studio import Studio
from services.jobs import picture, settled
from services.receivers import run_receiver

JOBS = "/api/v1/jobs"
PNG = '{"output": {"formats": ["png"]}}'


@pytest.fixture(scope="module")
def client(open_door: Callable[..., object]) -> httpx.Client:
    """A server without models: its jobs fail, which is an end like another."""
    return open_door(webhook_private_addresses=True).client  # type: ignore[attr-defined]


@pytest.fixture
def door_of_pictures(open_door: Callable[..., Any]) -> Any:
    """A server for pipelines that need no model."""
    return open_door()


def submit(client: httpx.Client, key: str, picture: bytes, path: str = JOBS, **fields: str) -> httpx.Response:
    headers = {"Idempotency-Key": key, "Prefer": "respond-async"}
    files = {"files" if path == JOBS else "file": ("me.jpg", picture)}
    return client.post(path, files=files, data=fields, headers=headers)


def count(client: httpx.Client) -> int:
    reply = client.get(JOBS)
    assert reply.status_code == 200, reply.text
    return len(reply.json()["items"])


@pytest.mark.parametrize(("path", "fields"), [(JOBS, {"preset": "cutout"}), ("/api/v1/cutout", {})])
def test_a_job_is_made_once(client: httpx.Client, portrait_jpeg: bytes, path: str, fields: dict[str, str]) -> None:
    before = count(client)
    key = f"once{path}"
    first = submit(client, key, portrait_jpeg, path, **fields)
    assert first.status_code == 202, first.text
    second = submit(client, key, portrait_jpeg, path, **fields)
    assert (second.status_code, second.headers["idempotent-replayed"]) == (202, "true")
    assert second.content == first.content
    assert second.headers["location"] == first.headers["location"]
    other = submit(client, key, portrait_jpeg + b"x", path, **fields)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert count(client) == before + 1


def test_many_at_once_make_one_job(client: httpx.Client, portrait_jpeg: bytes) -> None:
    before = count(client)
    with ThreadPoolExecutor(6) as pool:
        sent = [pool.submit(submit, client, "many", portrait_jpeg, preset="cutout") for _ in range(6)]
        statuses = [future.result(timeout=60).status_code for future in sent]
    assert set(statuses) <= {202, 409, 429}
    assert 202 in statuses
    assert count(client) == before + 1


def test_what_is_refused_leaves_no_trace(client: httpx.Client, portrait_jpeg: bytes) -> None:
    assert submit(client, "refused", b"no picture", preset="cutout").status_code == 415
    assert submit(client, "refused", portrait_jpeg, preset="cutout").status_code == 202


def test_who_waits_for_a_job_that_fails_makes_no_second_one(client: httpx.Client, portrait_jpeg: bytes) -> None:
    before = count(client)
    replies = [
        client.post(
            "/api/v1/cutout",
            files={"file": portrait_jpeg},
            headers={"Idempotency-Key": "fails", "Prefer": "respond-async, wait=30"},
        )
        for _ in range(2)
    ]
    assert [reply.json()["code"] for reply in replies] == ["model_not_installed"] * 2
    assert replies[1].headers["idempotent-replayed"] == "true"
    assert count(client) == before + 1


def test_a_picture_is_made_once_and_lies_in_its_job_alone(door_of_pictures: Any) -> None:
    client = door_of_pictures.client
    headers = {"Idempotency-Key": "picture", "Prefer": "respond-async, wait=30", "Accept": "image/png"}

    def ask() -> httpx.Response:
        return client.post("/api/v1/pipelines/run", files={"file": picture()}, data={"pipeline": "{}"}, headers=headers)

    first, second = ask(), ask()
    assert [reply.headers["content-type"] for reply in (first, second)] == ["image/png"] * 2
    assert first.content == second.content
    assert second.headers["idempotent-replayed"] == "true"
    (job,) = client.get(JOBS).json()["items"]
    with door_of_pictures.app.state.services.studio.database.read() as connection:
        kept = connection.execute(sa.select(IDEMPOTENCY.c.body)).scalars().all()
    assert not any(b"PNG" in body for body in kept)

    assert client.delete(job["links"]["self"]).status_code == 200
    third = ask()
    assert (third.status_code, third.headers["location"]) == (202, job["links"]["self"])
    assert client.get(JOBS).json()["items"] == []


def test_the_end_of_a_real_job_is_told(client: httpx.Client, portrait_jpeg: bytes) -> None:
    with run_receiver() as receiver:
        webhook = client.post("/api/v1/webhooks", json={"url": receiver.url()}).json()
        made = submit(client, "told", portrait_jpeg, preset="cutout").json()
        bodies = []  # jobs of the tests before may end now, too
        while not any(body["data"]["job_id"] == made["id"] for body in bodies):
            request = receiver.wait(len(bodies) + 1, 30)[len(bodies)]
            bodies.append(Verifier(webhook["secret"]).verify(request.body, request.headers))
        client.delete(f"/api/v1/webhooks/{webhook['id']}")
    body = bodies[-1]
    assert body["type"] == "job.failed"
    assert body["data"]["failure"]["code"] == "model_not_installed"


@pytest.mark.parametrize("path", ["/api/v1/pipelines/run", "/api/v1/blobs"])
def test_what_is_kept_at_once_is_made_once_too(open_door: Callable[..., Any], path: str) -> None:
    door = open_door()
    fields = {"pipeline": PNG, "return_base64": "true"} if path.endswith("run") else {}
    first, second = (
        door.client.post(path, files={"file": picture()}, data=fields, headers={"Idempotency-Key": "once"})
        for _ in range(2)
    )
    assert first.status_code == second.status_code < 300, first.text
    assert second.headers["idempotent-replayed"] == "true"
    names = ("job_id", "id", "url")
    assert [first.json().get(name) for name in names] == [second.json().get(name) for name in names]
    with door.app.state.services.studio.database.read() as connection:
        made = connection.execute(sa.select(sa.func.count()).select_from(BLOBS)).scalar_one()
        (kept,) = connection.execute(sa.select(IDEMPOTENCY.c.body)).scalars()
    assert made == (1 if path.endswith("blobs") else 2), "a picture and its report"
    if path.endswith("run"):
        assert first.json()["artifacts"][0]["base64"].encode() not in kept
        assert door.client.get(second.json()["artifacts"][0]["url"]).status_code == 200


def test_a_portrait_of_the_first_facecraft_is_made_once(
    open_door: Callable[..., Any], studio: Studio, portrait_jpeg: bytes
) -> None:
    client = open_door(studio).client
    fields = {"width": "80", "height": "80", "return_base64": "true"}

    def ask(path: str, name: str, data: bytes = portrait_jpeg) -> httpx.Response:
        reply: httpx.Response = client.post(
            f"/api/v1/{path}", files={name: ("me.jpg", data)}, data=fields, headers={"Idempotency-Key": path}
        )
        return reply

    refused = ask("process", "file", picture())
    assert refused.json()["success"] is False, refused.text
    for path, name in (("process", "file"), ("process/batch", "files")):
        first, second = ask(path, name), ask(path, name)
        assert (first.status_code, second.status_code) == (200, 200)
        assert first.json()["job_id"] == second.json()["job_id"]
        assert second.headers["idempotent-replayed"] == "true"
        one, two = ((body.get("results") or [body])[0] for body in (first.json(), second.json()))
        assert one["png_base64"]
        assert not two["png_base64"]
        assert client.get(two["png_url"]).status_code == 200
    assert count(client) == 2


def test_a_webhook_is_made_once_and_its_secret_is_kept_encrypted_alone(open_door: Callable[..., Any]) -> None:
    door = open_door(webhook_private_addresses=True)
    client, hooks = door.client, "/api/v1/webhooks"

    def ask(**body: str) -> httpx.Response:
        headers = {"Idempotency-Key": "hook"}
        reply: httpx.Response = client.post(hooks, json={"url": "http://127.0.0.1:9/", **body}, headers=headers)
        return reply

    first, second = ask(), ask()
    assert (first.status_code, second.status_code) == (201, 201)
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert second.json() == first.json()
    assert len(client.get(hooks).json()["items"]) == 1
    assert ask(url="http://127.0.0.1:10/").json()["code"] == "idempotency_mismatch"
    with door.app.state.services.studio.database.read() as connection:
        rows = str([connection.execute(sa.select(table)).all() for table in METADATA.sorted_tables])
    assert first.json()["id"] in rows
    assert first.json()["secret"].removeprefix("whsec_") not in rows

    assert client.delete(f"{hooks}/{first.json()['id']}").status_code == 204
    third = ask()
    assert (third.status_code, third.json()["code"]) == (404, "webhook_not_found")
    assert third.headers["idempotent-replayed"] == "true"
    assert client.get(hooks).json()["items"] == []


def test_a_webhook_that_is_refused_leaves_no_trace(open_door: Callable[..., Any]) -> None:
    client = open_door(webhook_private_addresses=True).client
    headers = {"Idempotency-Key": "hook"}
    bad = client.post("/api/v1/webhooks", json={"url": "ftp://127.0.0.1/"}, headers=headers)
    assert bad.json()["code"] == "address_refused"
    good = client.post("/api/v1/webhooks", json={"url": "http://127.0.0.1:9/"}, headers=headers)
    assert good.status_code == 201


def test_a_job_is_tried_again_once_for_a_key(client: httpx.Client, portrait_jpeg: bytes) -> None:
    made = submit(client, "retried", portrait_jpeg, preset="cutout").json()
    settled(client, made)
    replies = []
    for key in ("first", "first", "second"):
        replies.append(client.post(made["links"]["retry"], headers={"Idempotency-Key": f"retry-{key}"}))
        settled(client, made)
    assert [reply.status_code for reply in replies] == [200] * 3
    assert [reply.headers.get("idempotent-replayed") for reply in replies] == [None, "true", None]
    assert replies[0].json()["state"] == "queued"
    assert replies[1].json()["state"] == "failed", "the job as it stands"
    events = client.get(f"{JOBS}/{made['id']}/events").text
    assert events.count("event: queued") == 3, events
