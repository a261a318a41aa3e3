"""Every endpoint of Facecraft 1.0, over real HTTP with the real starter models."""

from __future__ import annotations

import base64
import io
import weakref
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

from facecraft.api.app import create_app
from facecraft.api.routes.legacy import portraits
from facecraft.imaging.shapes import Shape
from facecraft.options import rgb
from facecraft.pipelines.presets import PortraitOptions
from facecraft.settings import Settings
from facecraft.studio import Result, Studio

PROCESS = "/api/v1/process"
PROCESS_FIELDS = {
    "success", "job_id", "processing_time_ms", "result", "download_url", "png_url", "jpg_url", "png_base64",
    "jpg_base64", "error", "error_message",
}  # fmt: skip
BLANK = io.BytesIO()
Pillow.fromarray(np.full((120, 160, 3), 90, np.uint8)).save(BLANK, "PNG")


@pytest.fixture(scope="module")
def client(open_door: Callable[..., object], studio: Studio) -> httpx.Client:
    return open_door(studio).client


def _send(client: httpx.Client, data: bytes, path: str = PROCESS, name: str = "me.jpg", **fields: object):
    return client.post(path, files={"file": (name, data)}, data=fields)


def test_process_answers_every_field_and_working_links(client: httpx.Client, portrait_jpeg: bytes) -> None:
    reply = _send(client, portrait_jpeg)
    assert reply.status_code == 200
    body = reply.json()
    assert set(body) == PROCESS_FIELDS
    assert body["success"] is True
    assert body["error"] is None
    assert UUID(body["job_id"]).version == 7
    result = body["result"]
    assert result["face_detected"] is True
    assert result["face_count"] == 1
    assert result["output_size"] == {"width": 648, "height": 648}
    box = result["face_position"]  # in pixels of the 512×512 input, around the astronaut's face
    assert 150 < box["x"] < 200
    assert 50 < box["y"] < 110
    assert 80 < box["width"] < 140
    png = client.get(body["png_url"])
    assert png.headers["content-type"] == "image/png"
    assert len(png.content) == result["file_size_bytes"]
    assert Pillow.open(io.BytesIO(png.content)).mode == "RGBA"
    jpg = client.get(body["jpg_url"])
    assert Pillow.open(io.BytesIO(jpg.content)).size == (648, 648)
    assert len(jpg.content) <= 99 * 1024
    assert client.get(body["download_url"]).status_code == 200


def test_background_is_red_when_red_is_asked_for(client: httpx.Client, portrait_jpeg: bytes) -> None:
    body = _send(client, portrait_jpeg, background_r=255, background_g=0, background_b=0, return_base64=True).json()
    jpg = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(body["jpg_base64"]))).convert("RGB"))
    png = Pillow.open(io.BytesIO(base64.b64decode(body["png_base64"])))
    assert np.abs(jpg[4, 4].astype(int) - (255, 0, 0)).max() < 8
    assert np.asarray(png)[4, 4, 3] == 0


def test_without_an_oval_there_is_still_a_png(client: httpx.Client, portrait_jpeg: bytes) -> None:
    body = _send(client, portrait_jpeg, use_oval_mask="false", width=320, height=400, enhance_face="false").json()
    assert body["result"]["output_size"] == {"width": 320, "height": 400}
    assert Pillow.open(io.BytesIO(client.get(body["png_url"]).content)).size == (320, 400)
    assert body["result"]["file_size_bytes"] == len(client.get(body["jpg_url"]).content)


def test_a_picture_without_a_face_is_422_with_the_old_body(client: httpx.Client) -> None:
    reply = _send(client, BLANK.getvalue(), name="wall.png")
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert set(body) >= PROCESS_FIELDS
    assert body["success"] is False
    assert body["error"] == body["code"] == "no_face_detected"
    assert body["error_message"] == "No face could be detected in the image"
    assert body["result"] is None


def test_quick_answers_the_png_and_keeps_nothing(
    open_door: Callable[..., object], studio: Studio, portrait_jpeg: bytes
) -> None:
    door = open_door(studio)
    reply = _send(door.client, portrait_jpeg, f"{PROCESS}/quick", size=200)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "image/png"
    assert Pillow.open(io.BytesIO(reply.content)).size == (200, 200)
    assert not [path for path in door.settings.output_dir.rglob("*") if path.is_file()]


def test_quick_says_when_there_is_no_face(client: httpx.Client) -> None:
    reply = _send(client, BLANK.getvalue(), f"{PROCESS}/quick")
    assert (reply.status_code, reply.json()["code"]) == (422, "no_face_detected")


def test_a_batch_keeps_files_of_one_name_apart_and_goes_on_past_bad_ones(
    client: httpx.Client, portrait_jpeg: bytes
) -> None:
    files = [
        ("files", ("me.jpg", portrait_jpeg)),
        ("files", ("me.jpg", b"not a picture")),
        ("files", ("wall.png", BLANK.getvalue())),
        ("files", ("me.jpg", portrait_jpeg)),
    ]
    fields = {"width": 128, "height": 128, "return_base64": "true"}
    reply = client.post(f"{PROCESS}/batch", files=files, data=fields)
    assert reply.status_code == 200
    body = reply.json()
    assert (body["total"], body["successful"], body["failed"]) == (4, 2, 2)
    assert [item["filename"] for item in body["results"]] == ["me.jpg", "me.jpg", "wall.png", "me.jpg"]
    assert [item["error"] for item in body["results"]] == [None, "unsupported_format", "no_face_detected", None]
    first, last = body["results"][0], body["results"][3]
    assert first["download_url"] != last["download_url"]
    for item in (first, last):
        data = client.get(item["download_url"]).content
        assert data == base64.b64decode(item["png_base64"])
        assert Pillow.open(io.BytesIO(data)).size == (128, 128)


def test_a_batch_without_base64_and_its_deletion(client: httpx.Client, portrait_jpeg: bytes) -> None:
    files = [("files", ("a.jpg", portrait_jpeg)), ("files", ("b.jpg", portrait_jpeg))]
    body = client.post(f"{PROCESS}/batch", files=files, data={"width": 64, "height": 64}).json()
    assert {item["png_base64"] for item in body["results"]} == {None}
    assert {item["base64_omitted"] for item in body["results"]} == {False}
    assert client.delete(f"/api/v1/jobs/{body['job_id']}").status_code == 200
    assert {client.get(item["download_url"]).status_code for item in body["results"]} == {404}


def test_a_batch_says_which_files_did_not_fit_into_its_reply(
    client: httpx.Client, portrait_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [("files", (f"{number}.jpg", portrait_jpeg)) for number in range(4)]
    fields = {"width": 128, "height": 128, "return_base64": "true"}
    alone = client.post(f"{PROCESS}/batch", files=files[:1], data=fields).json()["results"][0]
    one = sum(len(base64.b64decode(alone[name])) for name in ("png_base64", "jpg_base64"))
    monkeypatch.setattr(portraits, "BASE64_BYTES", 2 * one + 10)
    items = client.post(f"{PROCESS}/batch", files=files, data=fields).json()["results"]
    assert [item["success"] for item in items] == [True] * 4
    assert sorted(item["base64_omitted"] for item in items) == [False, False, True, True]
    for item in items:
        assert (item["png_base64"] is None) == (item["jpg_base64"] is None) == item["base64_omitted"]
        assert client.get(item["png_url"]).status_code == client.get(item["jpg_url"]).status_code == 200


def test_a_batch_holds_no_picture_that_is_done(
    open_door: Callable[..., object], studio: Studio, portrait_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = open_door(studio)
    run, finished, alive = door.app.state.services.studio.run, [], []

    def counting(*given: object, **named: object) -> Result:
        alive.append(sum(picture() is not None for picture in finished))
        result = run(*given, **named)
        finished.append(weakref.ref(result.composition.pixels))
        return result

    monkeypatch.setattr(door.app.state.services.studio, "run", counting)
    files = [("files", (f"{number}.jpg", portrait_jpeg)) for number in range(8)]
    body = door.client.post(f"{PROCESS}/batch", files=files, data={"width": 64, "height": 64}).json()
    assert body["successful"] == 8
    assert len(alive) >= 8
    # One in each place, and the one of a warm-up that may still be under way.
    assert max(alive) <= door.app.state.services.bench.places + 1 < 8


def test_deleting_a_job_says_so_and_the_second_time_404(client: httpx.Client, portrait_jpeg: bytes) -> None:
    body = _send(client, portrait_jpeg, width=64, height=64).json()
    job = body["job_id"]
    reply = client.delete(f"/api/v1/jobs/{job}")
    assert (reply.status_code, reply.json()) == (200, {"message": f"Job {job} deleted"})
    assert client.get(body["png_url"]).status_code == 404
    assert client.delete(f"/api/v1/jobs/{job}").json()["code"] == "job_not_found"


def test_download_knows_the_formats_that_were_made(client: httpx.Client, portrait_jpeg: bytes) -> None:
    job = _send(client, portrait_jpeg, width=64, height=64).json()["job_id"]
    found = {kind: client.get(f"/api/v1/download/{job}/{kind}").status_code for kind in ("png", "jpg", "jpeg", "json")}
    assert set(found.values()) == {200}
    missing = client.get(f"/api/v1/download/{job}/webp")
    assert (missing.status_code, missing.json()["code"]) == (404, "artifact_not_found")
    disposition = client.get(f"/api/v1/download/{job}/png").headers["content-disposition"]
    assert disposition == f'attachment; filename="facecraft-{job}.png"'


def test_status_counts_what_was_done(open_door: Callable[..., object], studio: Studio, portrait_jpeg: bytes) -> None:
    client = open_door(studio).client
    _send(client, portrait_jpeg, width=64, height=64)
    _send(client, BLANK.getvalue())
    body = client.get("/status").json()
    assert body["status"] == "operational"
    assert body["device"]["type"] == "cpu"
    assert body["uptime_seconds"] >= 0
    assert set(body["models"]) == {"face_detector", "face_landmarks", "face_enhancer", "background_remover"}
    for part in ("face_detector", "face_landmarks", "background_remover"):
        assert body["models"][part]["loaded"] is True
        assert body["models"][part]["type"]
    assert body["statistics"]["total_processed"] == 2
    assert body["statistics"]["success_rate"] == 0.5
    assert body["statistics"]["avg_processing_ms"] > 0
    assert {"absent", "installed"} >= {model["state"] for model in body["catalog"]}


def test_the_operators_defaults_are_used(
    open_door: Callable[..., object], studio: Studio, portrait_jpeg: bytes
) -> None:
    door = open_door(studio, default_width=96, default_height=128, default_oval_mask=False, default_background_r=0)
    body = _send(door.client, portrait_jpeg).json()
    assert body["result"]["output_size"] == {"width": 96, "height": 128}
    assert _send(door.client, portrait_jpeg, f"{PROCESS}/quick").status_code == 200
    schema = door.client.get("/openapi.json").json()["components"]["schemas"]
    assert schema["ProcessForm"]["properties"]["background_r"]["default"] == 0
    assert schema["PortraitForm"]["properties"]["fill"]["default"] == "#00f0f0"
    assert schema["PortraitForm"]["properties"]["shape"]["default"] == "none"


@pytest.mark.parametrize("form", ["ProcessForm", "QuickForm", "BatchForm"])
def test_defaults_nobody_chose_are_those_of_a_portrait(form: str, tmp_path: Path) -> None:
    fields = create_app(Settings(output_dir=tmp_path)).openapi()["components"]["schemas"][form]["properties"]
    look = PortraitOptions()
    red, green, blue = rgb(look.fill)
    expected = {
        "width": look.width, "height": look.height, "size": look.width, "background_r": red, "background_g": green,
        "background_b": blue, "face_margin": look.face_margin, "use_oval_mask": look.shape is Shape.OVAL,
        "enhance_face": look.restore, "enhance_fidelity": look.fidelity, "return_base64": False,
    }  # fmt: skip
    found = {name: field["default"] for name, field in fields.items() if "default" in field}
    assert found == {name: expected[name] for name in found}
    assert len(found) >= 8
