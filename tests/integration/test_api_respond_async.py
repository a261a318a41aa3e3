"""``Prefer: respond-async`` at every endpoint that makes or looks at something."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image as Pillow

from facecraft.studio import Studio
from services.jobs import held, picture, settled, until

LATER = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def client(open_door: Callable[..., Any], studio: Studio) -> httpx.Client:
    found: httpx.Client = open_door(studio).client
    return found


@pytest.mark.parametrize(
    ("path", "fields", "name"),
    [
        ("portrait", {"width": "80", "height": "80"}, "portrait"),
        ("cutout", {}, "cutout"),
        ("detect", {}, "detect"),
        ("pipelines/run", {"pipeline": json.dumps({"steps": [{"stage": "detect"}]})}, "pipeline"),
        ("faces/detect", {}, "faces-detect"),
    ],
)
def test_a_job_comes_instead_of_the_result(
    client: httpx.Client, portrait_jpeg: bytes, path: str, fields: dict[str, str], name: str
) -> None:
    reply = client.post(f"/api/v1/{path}", files={"file": ("me.jpg", portrait_jpeg)}, data=fields, headers=LATER)
    assert reply.status_code == 202, reply.text
    assert reply.headers["preference-applied"] == "respond-async"
    body = reply.json()
    assert reply.headers["location"] == body["links"]["self"]
    assert body["name"] == name
    done = settled(client, body)
    assert done["state"] == "succeeded", done
    report = client.get(f"/api/v1/download/{body['id']}/json").json()
    assert len(report["faces"]) == 1
    assert f'facecraft_jobs_ended_total{{name="{name}",state="succeeded"}}' in client.get("/metrics").text


def test_the_pictures_of_jobs_are_counted(open_door: Callable[..., Any], studio: Studio, portrait_jpeg: bytes) -> None:
    client = open_door(studio).client
    reply = client.post("/api/v1/detect", files={"file": ("me.jpg", portrait_jpeg)}, headers=LATER)
    assert settled(client, reply.json())["state"] == "succeeded"
    counted = client.get("/status").json()["statistics"]
    assert (counted["total_processed"], counted["success_rate"]) == (1, 1.0)
    assert counted["avg_processing_ms"] > 0


def test_who_waits_long_enough_gets_what_everybody_gets(client: httpx.Client, portrait_jpeg: bytes) -> None:
    files, data = {"file": ("me.jpg", portrait_jpeg)}, {"width": "80", "height": "90", "formats": "png"}
    patient = {"Prefer": "respond-async, wait=50"}
    at_once = client.post("/api/v1/portrait", files=files, data=data)
    waited = client.post("/api/v1/portrait", files=files, data=data, headers=patient)
    assert waited.status_code == 200
    assert waited.headers["preference-applied"] == "respond-async, wait=50"
    assert set(waited.json()) == set(at_once.json())
    (made,), (same,) = waited.json()["artifacts"], at_once.json()["artifacts"]
    assert {**made, "url": "", "bytes": 0} == {**same, "url": "", "bytes": 0}
    kept = client.get(made["url"]).content
    assert Pillow.open(io.BytesIO(kept)).size == (80, 90)
    itself = client.post("/api/v1/portrait", files=files, data=data, headers={**patient, "Accept": "image/webp"})
    assert itself.headers["content-type"] == "image/webp"
    assert Pillow.open(io.BytesIO(itself.content)).size == (80, 90)
    found = client.post("/api/v1/faces/detect", files=files, headers=patient)
    assert (found.status_code, len(found.json()["faces"])) == (200, 1)
    with_files = client.post(
        "/api/v1/portrait", files=files, data={**data, "return_base64": "true"}, headers=patient
    ).json()
    assert with_files["artifacts"][0]["base64"]


def test_who_waits_is_told_why_it_failed(client: httpx.Client) -> None:
    reply = client.post(
        "/api/v1/portrait", files={"file": picture(size=(90, 90))}, headers={"Prefer": "respond-async, wait=50"}
    )
    assert (reply.status_code, reply.json()["code"]) == (422, "no_face_detected")
    assert reply.headers["content-type"] == "application/problem+json"


def test_who_does_not_wait_long_enough_gets_the_job(
    client: httpx.Client, portrait_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(monkeypatch):
        reply = client.post(
            "/api/v1/detect", files={"file": portrait_jpeg}, headers={"Prefer": "respond-async, wait=1"}
        )
        assert reply.status_code == 202
        assert reply.headers["preference-applied"] == "respond-async, wait=1"
        assert client.post(reply.json()["links"]["cancel"]).status_code == 200


def test_other_preferences_change_nothing(client: httpx.Client, portrait_jpeg: bytes) -> None:
    reply = client.post("/api/v1/detect", files={"file": portrait_jpeg}, headers={"Prefer": "wait=10, return=minimal"})
    assert reply.status_code == 200
    assert "preference-applied" not in reply.headers


def test_a_job_is_taken_in_while_every_place_is_taken(
    open_door: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_door(max_concurrent_jobs=1, max_queued_jobs=0).client
    task = {"pipeline": json.dumps({})}
    with held(monkeypatch) as watches:
        first = client.post("/api/v1/pipelines/run", files={"file": picture()}, data=task, headers=LATER).json()
        until(lambda: watches)
        second = client.post("/api/v1/pipelines/run", files={"file": picture()}, data=task, headers=LATER)
        assert second.status_code == 202
        assert second.json()["position"] == 1
    assert settled(client, first)["state"] == settled(client, second.json())["state"] == "succeeded"


def test_the_same_key_makes_one_job(client: httpx.Client, portrait_jpeg: bytes) -> None:
    headers = {**LATER, "Idempotency-Key": "a-portrait-once"}
    replies = [client.post("/api/v1/detect", files={"file": portrait_jpeg}, headers=headers) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [202, 202]
    assert len({reply.json()["id"] for reply in replies}) == 1
    settled(client, replies[0].json())


def test_what_is_made_at_once_is_a_job_as_well(client: httpx.Client, portrait_jpeg: bytes) -> None:
    reply = client.post(
        "/api/v1/portrait", files={"file": ("me.jpg", portrait_jpeg)}, data={"width": "80", "height": "80"}
    )
    job = client.get(f"/api/v1/jobs/{reply.headers['x-facecraft-job-id']}").json()
    assert (job["name"], job["state"], job["progress"], job["succeeded"]) == ("portrait", "succeeded", 1.0, 1)
    assert job["id"] == client.get("/api/v1/jobs", params={"limit": 1}).json()["items"][0]["id"]
    assert {each["name"] for each in job["items"][0]["artifacts"]} >= {"result.png", "result.json"}
    files = [("files", ("a.jpg", portrait_jpeg)), ("files", ("b.jpg", b"no"))]
    batch = client.post("/api/v1/process/batch", files=files, data={"width": 64, "height": 64}).json()
    job = client.get(f"/api/v1/jobs/{batch['job_id']}").json()
    assert (job["total"], job["succeeded"], job["failed"]) == (2, 1, 1)
    assert [item["state"] for item in job["items"]] == ["succeeded", "failed"]
    assert job["items"][1]["failure"]["code"] == batch["results"][1]["error"]
    direct = client.get(batch["results"][0]["png_url"]).content
    listed = {each["name"]: each["url"] for each in job["items"][0]["artifacts"]}
    assert client.get(listed["0001-result.png"]).content == direct
    assert client.delete(f"/api/v1/jobs/{batch['job_id']}").status_code == 200
    assert client.get(batch["results"][0]["png_url"]).status_code == 404
