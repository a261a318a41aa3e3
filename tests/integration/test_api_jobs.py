"""Jobs over real HTTP: sent, looked at, stopped, tried again, fetched and deleted."""

from __future__ import annotations

import io
import json
import socket
import time
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

from facecraft.jobs.tasks import PipelineTask
from facecraft.studio import Studio
from services.jobs import COPY, JOBS, held, picture, send, settled, until

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def client(open_door: Callable[..., Any]) -> httpx.Client:
    """A server without models."""
    found: httpx.Client = open_door().client
    return found


def test_a_job_is_accepted_done_and_fetched(client: httpx.Client) -> None:
    reply = send(client, ("me.png", picture()))
    assert reply.status_code == 202
    body = reply.json()
    assert reply.headers["location"] == body["links"]["self"] == f"{JOBS}/{body['id']}"
    assert body["state"] in ("queued", "running", "succeeded")
    done = settled(client, body)
    assert (done["state"], done["progress"], done["attempt"]) == ("succeeded", 1.0, 1)
    assert (done["total"], done["succeeded"], done["failed"], done["position"]) == (1, 1, 0, None)
    assert done["created_at"] <= done["started_at"] <= done["finished_at"] < done["expires_at"]
    (item,) = done["items"]
    assert (item["name"], item["state"]) == ("me.png", "succeeded")
    files = {each["name"]: each for each in item["artifacts"]}
    assert set(files) == {"result.png", "result.jpg", "result.json"}
    for name, kind in (("result.png", "PNG"), ("result.jpg", "JPEG")):
        fetched = client.get(files[name]["url"])
        assert fetched.headers["content-type"] == files[name]["media_type"]
        assert int(fetched.headers["content-length"]) == files[name]["bytes"] == len(fetched.content)
        opened = Pillow.open(io.BytesIO(fetched.content))
        assert (opened.format, opened.size) == (kind, (48, 32))
    assert client.get(f"/api/v1/download/{body['id']}/jpg").content == fetched.content


def test_a_portrait_is_made_as_a_job(open_door: Callable[..., Any], studio: Studio, portrait_jpeg: bytes) -> None:
    client = open_door(studio).client
    options = json.dumps({"width": 120, "height": 160, "formats": "png", "shape": "none"})
    files = [("files", ("me.jpg", portrait_jpeg))]
    job = client.post(JOBS, data={"preset": "portrait", "options": options}, files=files).json()
    assert job["name"] == "portrait"
    done = settled(client, job)
    assert done["state"] == "succeeded", done
    fetched = client.get(f"/api/v1/download/{job['id']}/png")
    opened = Pillow.open(io.BytesIO(fetched.content))
    assert (opened.size, opened.mode) == ((120, 160), "RGBA")
    report = client.get(f"/api/v1/download/{job['id']}/json").json()
    assert len(report["faces"]) == 1
    assert report["source"]["name"] == "me.jpg"


def test_a_batch_is_one_job_and_one_bad_picture_fails_alone(client: httpx.Client) -> None:
    files = [("a.png", picture()), ("bad.png", b"not a picture"), ("../../etc/a.png", picture((0, 0, 250)))]
    done = settled(client, send(client, *files).json())
    assert (done["state"], done["total"], done["succeeded"], done["failed"]) == ("succeeded", 3, 2, 1)
    assert [item["state"] for item in done["items"]] == ["succeeded", "failed", "succeeded"]
    assert done["items"][1]["failure"]["code"] == "unsupported_format"
    assert done["items"][1]["artifacts"] == []
    blue = client.get(f"/api/v1/download/{done['id']}/png?item=2")
    assert np.asarray(Pillow.open(io.BytesIO(blue.content)))[0, 0, :3].tolist() == [0, 0, 250]
    packed = client.get(done["links"]["artifacts"])
    assert packed.headers["content-type"] == "application/zip"
    assert "content-length" not in packed.headers
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            "0001-a.jpg", "0001-a.json", "0001-a.png", "0003-a.jpg", "0003-a.json", "0003-a.png",
        ]  # fmt: skip
        assert archive.read("0003-a.png") == blue.content
        assert {each.compress_type for each in archive.infolist()} == {zipfile.ZIP_STORED}


def test_a_job_whose_every_picture_is_bad_has_failed(client: httpx.Client) -> None:
    done = settled(client, send(client, ("a.png", b"no"), ("b.png", b"no either")).json())
    assert (done["state"], done["failed"]) == ("failed", 2)
    assert done["failure"]["code"] == "unsupported_format"


def test_a_single_file_that_is_no_picture_is_refused_at_once(client: httpx.Client) -> None:
    reply = send(client, ("a.png", b"not a picture"))
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_format")
    assert send(client, ("a.png", b"")).json()["code"] == "empty_input"


def test_an_earlier_result_that_is_no_picture_is_refused_at_once_like_an_upload(client: httpx.Client) -> None:
    done = settled(client, send(client, ("a.png", picture()), ("b.png", picture())).json())
    report = f"job:{done['id']}/0001-result.json"
    reply = send(client, blobs=report)
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_format")
    assert "application/json" in reply.json()["detail"]
    mixed = settled(client, send(client, blobs=f"{report},job:{done['id']}/0001-result.png").json())
    assert [item["state"] for item in mixed["items"]] == ["failed", "succeeded"]


def test_who_asks_for_a_missing_file_is_told_what_became_of_its_picture(client: httpx.Client) -> None:
    done = settled(client, send(client, ("a.png", picture()), ("bad.png", b"no")).json())
    for path in (f"/api/v1/download/{done['id']}/png?item=1", f"{JOBS}/{done['id']}/artifacts/0002-result.png"):
        body = client.get(path).json()
        assert (body["status"], body["code"]) == (404, "artifact_not_found")
        assert body["detail"].startswith("Picture 2 failed: unsupported_format.")
        assert "JPEG" in body["hint"]
    beyond = client.get(f"/api/v1/download/{done['id']}/png?item=2").json()
    assert "Picture 3 does not exist" in beyond["detail"]
    assert "to 1" in beyond["hint"]
    for name in ("0001-result.avif", "0000-result.png", "nothing.png"):
        body = client.get(f"{JOBS}/{done['id']}/artifacts/{name}").json()
        assert (body["code"], bool(body["hint"])) == ("artifact_not_found", True)


def test_who_asks_too_early_is_told_so(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(monkeypatch):
        job = send(client, ("a.png", picture())).json()
        body = client.get(f"/api/v1/download/{job['id']}/png").json()
        assert (body["code"], body["detail"]) == ("artifact_not_found", "Picture 1 is not done yet.")
    settled(client, job)


def test_a_pipeline_needs_no_task_around_it(client: httpx.Client) -> None:
    plain = {"steps": [], "output": {"formats": ["png"]}}
    upload = client.post("/api/v1/blobs", files={"file": ("me.png", picture())}).json()
    form = client.post(JOBS, data={"pipeline": json.dumps(plain)}, files=[("files", ("me.png", picture()))])
    body = client.post(JOBS, json={"pipeline": plain, "blobs": [upload["id"]]})
    for reply in (form, body):
        assert reply.status_code == 202, reply.text
        done = settled(client, reply.json())
        assert (done["name"], done["state"]) == ("pipeline", "succeeded")
        assert {each["name"] for each in done["items"][0]["artifacts"]} == {"result.png", "result.json"}


@pytest.mark.parametrize("task", ['{"pipeline": {"steps": []}}', '{"kind": "swap"}', "{}"])
def test_a_task_of_no_known_kind_is_refused_in_our_words(client: httpx.Client, task: str) -> None:
    files = [("files", ("me.png", picture()))]
    replies = [
        client.post(JOBS, data={"task": task}, files=files),
        client.post(JOBS, json={"task": json.loads(task), "blobs": ["x"]}),
    ]
    for reply in replies:
        assert reply.status_code == 422
        (problem,) = reply.json()["errors"]
        assert problem["field"] == "task"
        assert problem["message"].startswith("A task needs a `kind`: pipeline or faces.")
        assert "discriminator" not in reply.text


@pytest.mark.parametrize(
    "sent", [{}, {"preset": "portrait", "pipeline": '{"steps": []}'}, {"task": COPY, "pipeline": '{"steps": []}'}]
)
def test_what_is_done_is_said_in_exactly_one_way(client: httpx.Client, sent: dict[str, str]) -> None:
    reply = client.post(JOBS, data=sent, files=[("files", ("me.png", picture()))])
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_option")
    assert reply.json()["hint"] == "Exactly one of `task`, `preset`, `pipeline`."


def test_options_without_a_preset_are_not_left_out(client: httpx.Client) -> None:
    sent = {"pipeline": '{"steps": []}', "options": '{"width": 100}'}
    reply = client.post(JOBS, data=sent, files=[("files", ("me.png", picture()))])
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_option")
    assert "steps" in reply.json()["hint"]


def test_earlier_uploads_and_results_are_pictures_too(client: httpx.Client) -> None:
    upload = client.post("/api/v1/blobs", files={"file": ("me.png", picture())})
    assert upload.status_code == 201
    blob = upload.json()
    assert blob["media_type"] == "image/png"
    queued = client.post(JOBS, json={"task": json.loads(COPY), "blobs": [blob["id"]]})
    assert queued.status_code == 202, queued.text
    first = settled(client, queued.json())
    assert (first["state"], first["items"][0]["name"]) == ("succeeded", "me.png")
    again = settled(client, send(client, blobs=f"{blob['id']}, job:{first['id']}/result.jpg").json())
    assert (again["state"], again["succeeded"]) == ("succeeded", 2)
    kept = client.get(upload.headers["location"]).json()
    assert kept["expires_at"] is not None  # no job needs it any more
    assert client.get(kept["url"]).content == picture()
    assert client.delete(upload.headers["location"]).status_code == 204
    gone = send(client, blobs=blob["id"])
    assert (gone.status_code, gone.json()["code"]) == (404, "blob_not_found")


def test_what_was_uploaded_for_a_job_is_gone_when_it_is_done(open_door: Callable[..., Any]) -> None:
    door = open_door()
    done = settled(door.client, send(door.client, ("a.png", picture()), ("b.png", picture())).json())
    assert done["succeeded"] == 2
    blobs = door.app.state.services.studio.jobs.blobs
    assert len(blobs.artifacts(done["id"])) == 6
    until(lambda: blobs.used_bytes(None) == sum(blob.bytes for blob in blobs.artifacts(done["id"])))


def test_a_picture_that_all_share_is_there_for_the_last_one(open_door: Callable[..., Any], studio: Studio) -> None:
    client = open_door(studio).client
    options = json.dumps({"background": "image", "width": 64, "height": 64, "shape": "none", "formats": "png"})
    files = [
        *(("files", (f"{n}.jpg", _face(studio))) for n in range(3)),
        ("background_image", ("sky.png", picture((0, 0, 255)))),
    ]
    job = client.post(JOBS, data={"preset": "portrait", "options": options}, files=files)
    assert job.status_code == 202, job.text
    done = settled(client, job.json())
    assert (done["state"], done["succeeded"]) == ("succeeded", 3), done
    last = client.get(f"/api/v1/download/{done['id']}/png?item=2").content
    assert np.asarray(Pillow.open(io.BytesIO(last)).convert("RGB"))[2, 2].tolist() == [0, 0, 255]


def _face(_: Studio) -> bytes:
    from importlib.resources import files

    return (files("facecraft") / "data" / "astronaut.jpg").read_bytes()


def test_a_waiting_job_knows_its_place_and_stops_at_once(
    open_door: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_door(max_concurrent_jobs=1).client
    with held(monkeypatch) as watches:
        running = send(client, ("a.png", picture())).json()
        until(lambda: watches)
        waiting = [send(client, ("a.png", picture())).json() for _ in range(2)]
        assert [job["position"] for job in waiting] == [1, 2]
        assert client.get(running["links"]["self"]).json()["state"] == "running"
        refused = client.delete(running["links"]["self"])
        assert (refused.status_code, refused.json()["code"]) == (409, "job_state")
        assert "Cancel" in refused.json()["hint"]
        stopped = client.post(waiting[0]["links"]["cancel"]).json()
        assert (stopped["state"], stopped["failure"]["code"]) == ("cancelled", "cancelled")
        assert client.get(waiting[1]["links"]["self"]).json()["position"] == 1
        assert client.post(running["links"]["cancel"]).status_code == 200
        assert settled(client, running)["state"] == "cancelled"
        assert client.post(running["links"]["cancel"]).status_code == 409
    assert settled(client, waiting[1])["state"] == "succeeded"
    again = client.post(running["links"]["retry"])
    assert again.status_code == 200
    assert settled(client, again.json())["state"] == "succeeded"
    assert client.post(running["links"]["retry"]).status_code == 409


def test_a_full_queue_is_429_and_keeps_nothing(open_door: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    door = open_door(max_concurrent_jobs=1, job_queue_limit=1)
    with held(monkeypatch) as watches:
        send(door.client, ("a.png", picture()))
        until(lambda: watches)
        assert send(door.client, ("a.png", picture())).status_code == 202
        used = door.app.state.services.studio.jobs.blobs.used_bytes(None)
        refused = send(door.client, ("a.png", picture()))
        assert (refused.status_code, refused.json()["code"]) == (429, "busy")
        assert int(refused.headers["retry-after"]) > 0
        assert door.app.state.services.studio.jobs.blobs.used_bytes(None) == used


def test_the_list_has_pages_and_filters(open_door: Callable[..., Any]) -> None:
    client = open_door().client
    made = [settled(client, send(client, (f"{n}.png", picture())).json())["id"] for n in range(3)]
    settled(client, send(client, ("a", b"no"), ("b", b"no")).json())
    page = client.get(JOBS, params={"limit": 2, "name": "copy", "state": ["succeeded", "queued"]}).json()
    assert [job["id"] for job in page["items"]] == [made[2], made[1]]
    rest = client.get(JOBS, params={"cursor": page["cursor"], "state": "succeeded"}).json()
    assert ([job["id"] for job in rest["items"]], rest["cursor"]) == ([made[0]], None)
    assert [job["state"] for job in client.get(JOBS, params={"state": "failed"}).json()["items"]] == ["failed"]
    assert client.get(JOBS, params={"name": "portrait"}).json()["items"] == []
    for wrong in ({"state": "asleep"}, {"limit": 0}, {"cursor": "x"}):
        assert client.get(JOBS, params=wrong).status_code == 422


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"task": ""}, "invalid_option"),
        ({"task": "{"}, "invalid_request"),
        ({"task": '{"kind":"pipeline","pipeline":{"steps":[{"stage":"none"}]}}'}, "invalid_request"),
        ({"preset": "portrait"}, "invalid_option"),
        ({"task": "", "preset": "no_such"}, "invalid_option"),
        ({"task": "", "preset": "portrait", "options": '{"width": 1}'}, "invalid_request"),
        ({"task": "", "preset": "swap", "options": '{"consent": true}'}, "invalid_option"),
        ({"task": "", "preset": "faces-compare"}, "invalid_option"),
        ({"timeout_seconds": "-1"}, "invalid_request"),
        ({"surprise": "1"}, "invalid_request"),
        ({"source": "an id"}, "invalid_request"),
    ],
)
def test_what_cannot_be_understood_is_refused(client: httpx.Client, fields: dict[str, str], code: str) -> None:
    reply = send(client, ("a.png", picture()), **fields)
    assert (reply.status_code, reply.headers["content-type"]) == (422, PROBLEM), reply.text
    assert reply.json()["code"] == code, reply.text


def test_a_job_needs_a_picture_and_not_too_many(open_door: Callable[..., Any]) -> None:
    client = open_door(batch_max_files=2).client
    assert client.post(JOBS, json={"task": json.loads(COPY)}).json()["code"] == "invalid_option"
    many = send(client, *[(f"{n}.png", picture()) for n in range(3)])
    assert (many.status_code, many.json()["code"]) == (413, "too_many_files")
    assert client.post(JOBS, content=b"[" * 2_000_000, headers={"Content-Type": "application/json"}).status_code == 413
    assert client.post(JOBS, content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415


def test_a_swap_without_consent_is_not_queued(client: httpx.Client) -> None:
    files = [("files", ("a.png", picture())), ("source", ("b.png", picture()))]
    reply = client.post(JOBS, data={"preset": "swap"}, files=files)
    assert (reply.status_code, reply.json()["code"]) == (403, "consent_required")


def test_the_same_key_makes_one_job(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "once-and-only-once"}
    first = send(client, ("a.png", picture()), headers=headers)
    second = send(client, ("a.png", picture()), headers=headers)
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.headers["idempotent-replayed"] == "true"
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["location"] == first.headers["location"]
    other = send(client, ("a.png", picture((1, 2, 3))), headers=headers)
    assert other.status_code == 422


def test_a_deleted_job_is_gone_with_its_files(open_door: Callable[..., Any]) -> None:
    door = open_door()
    done = settled(door.client, send(door.client, ("a.png", picture())).json())
    url = done["items"][0]["artifacts"][0]["url"]
    gone = door.client.delete(done["links"]["self"])
    assert (gone.status_code, gone.json()) == (200, {"message": f"Job {done['id']} deleted"})
    for path in (done["links"]["self"], url, done["links"]["artifacts"], done["links"]["events"]):
        assert door.client.get(path).status_code == 404
    assert door.client.delete(done["links"]["self"]).status_code == 404
    results = door.settings.output_dir
    until(lambda: not [path for path in results.rglob("*") if path.is_file()])


def test_a_file_is_looked_at_without_being_fetched_and_fetched_once(client: httpx.Client) -> None:
    done = settled(client, send(client, ("a.png", picture())).json())
    url = next(each["url"] for each in done["items"][0]["artifacts"] if each["name"] == "result.png")
    full = client.get(url)
    head = client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == full.headers["content-length"]
    assert full.headers["content-disposition"] == 'attachment; filename="result.png"'
    known = client.get(url, headers={"If-None-Match": full.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    missing = client.get(url.replace("result.png", "result.gif"))
    assert (missing.status_code, missing.json()["code"]) == (404, "artifact_not_found")


def test_results_can_be_deleted_by_their_download(open_door: Callable[..., Any]) -> None:
    door = open_door(delete_on_download=True)
    client = door.client
    done = settled(client, send(client, ("a.png", picture())).json())
    urls = {each["name"]: each["url"] for each in done["items"][0]["artifacts"]}
    assert client.head(urls["result.png"]).status_code == 200
    with client.stream("GET", urls["result.png"]) as begun:
        assert begun.status_code == 200
        begun.read()
    until(lambda: client.head(urls["result.png"]).status_code == 404)
    assert client.get(done["links"]["self"]).status_code == 200
    assert client.get(urls["result.jpg"]).status_code == 200
    until(lambda: client.get(done["links"]["self"]).status_code == 404)  # the last file takes the job along
    packed = settled(client, send(client, ("a.png", picture()), ("b.png", picture())).json())
    assert client.get(packed["links"]["artifacts"]).status_code == 200
    until(lambda: client.get(packed["links"]["self"]).status_code == 404)
    until(lambda: not [path for path in door.settings.output_dir.rglob("*") if path.is_file()])


def test_a_client_that_closes_with_the_last_byte_has_downloaded_all(open_door: Callable[..., Any]) -> None:
    door = open_door(delete_on_download=True)
    client = door.client
    jobs = [settled(client, send(client, ("a.png", picture())).json()) for _ in range(20)]
    for done in jobs:
        url = next(each["url"] for each in done["items"][0]["artifacts"] if each["name"] == "result.png")
        length = int(client.head(url).headers["content-length"])
        with socket.create_connection(("127.0.0.1", door.port), timeout=10) as plain:
            plain.sendall(f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            heard = b""
            while len(heard.partition(b"\r\n\r\n")[2]) < length:
                heard += plain.recv(65536)
    left = [done["links"]["self"] + "/artifacts/result.png" for done in jobs]
    until(lambda: all(client.head(url).status_code == 404 for url in left))


def test_what_lay_in_the_buffers_of_the_system_was_not_downloaded(open_door: Callable[..., Any]) -> None:
    door = open_door(delete_on_download=True)
    client = door.client
    noise = io.BytesIO()
    Pillow.fromarray(np.random.default_rng(2).integers(0, 256, (800, 1000, 3), np.uint8)).save(noise, "PNG")
    done = settled(client, send(client, ("noise.png", noise.getvalue())).json())
    url = next(each["url"] for each in done["items"][0]["artifacts"] if each["name"] == "result.png")
    assert 2_000_000 < int(client.head(url).headers["content-length"]) < 4_000_000
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as plain:
        plain.sendall(f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        plain.recv(1000)
        time.sleep(0.3)  # the server may hand over all of it
    time.sleep(0.3)
    assert client.head(url).status_code == 200


def test_a_download_that_broke_off_deletes_nothing(open_door: Callable[..., Any]) -> None:
    client = open_door(delete_on_download=True).client
    noise = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (1800, 2400, 3), np.uint8)
    Pillow.fromarray(pixels).save(noise, "PNG", compress_level=0)
    done = settled(client, send(client, ("noise.png", noise.getvalue())).json())
    urls = {each["name"]: each["url"] for each in done["items"][0]["artifacts"]}
    for url in (urls["result.png"], done["links"]["artifacts"]):
        with client.stream("GET", url) as begun:
            next(begun.iter_raw(1000))
        time.sleep(0.3)  # the server may notice and do what it should not
        whole = client.head(urls["result.png"])
        assert whole.status_code == 200
        assert int(whole.headers["content-length"]) > 8_000_000


def test_a_name_of_any_script_comes_back_as_it_was(client: httpx.Client) -> None:
    blob = client.post("/api/v1/blobs", files={"file": ('ж"\u202e/..\\a.png', picture())}).json()
    fetched = client.get(blob["url"])
    assert blob["name"] == "a.png"
    assert fetched.headers["content-disposition"] == 'attachment; filename="a.png"'
    script = client.post("/api/v1/blobs", files={"file": ("ж.png", picture())}).json()
    assert "filename*=utf-8''%D0%B6.png" in client.get(script["url"]).headers["content-disposition"]


def test_what_browsers_escape_in_the_name_of_a_file_is_read_as_they_wrote_it(client: httpx.Client) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="say %22hi%22%0D%0A 100%25.png"\r\n\r\n'
    body = head + picture() + b"\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert client.post("/api/v1/blobs", content=body, headers=kind).json()["name"] == 'say "hi" 100%25.png'


def test_too_many_pictures_are_told_the_limit_and_its_setting(client: httpx.Client) -> None:
    for count in (51, 60):  # companions may come along: the first is refused later than the second
        refused = send(client, *[(f"{number}.png", picture()) for number in range(count)])
        assert (refused.status_code, refused.json()["code"]) == (413, "too_many_files")
        assert "at most 50 pictures" in refused.json()["detail"]
        assert "FACECRAFT_BATCH_MAX_FILES" in refused.json()["hint"]


@pytest.mark.parametrize("preset", ["detect", "faces-detect", "faces-embeddings", "faces-attributes"])
@pytest.mark.parametrize("field", ["source", "second"])
def test_a_picture_that_nobody_looks_at_is_refused(client: httpx.Client, preset: str, field: str) -> None:
    files = [("files", ("a.png", picture())), (field, ("b.png", picture()))]
    refused = client.post(JOBS, data={"preset": preset}, files=files)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_option")
    assert field in refused.json()["detail"]


def test_a_task_names_what_it_is(client: httpx.Client) -> None:
    task = PipelineTask.model_validate_json(COPY)
    assert send(client, ("a.png", picture())).json()["name"] == task.name


def test_nobody_is_told_to_come_again_for_a_model_that_an_operator_must_install(client: httpx.Client) -> None:
    refused = client.post("/submit", files={"file": ("a.png", picture())})
    assert (refused.status_code, refused.json()["code"]) == (503, "model_not_installed")
    assert "retry-after" not in refused.headers
