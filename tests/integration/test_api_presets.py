"""The derived endpoints over real HTTP with the real starter models."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

from facecraft.studio import Studio


@pytest.fixture(scope="module")
def client(open_door: Callable[..., object], studio: Studio) -> httpx.Client:
    return open_door(studio).client


def _send(client: httpx.Client, path: str, data: bytes, accept: str | None = None, **fields: object) -> httpx.Response:
    headers = {} if accept is None else {"Accept": accept}
    return client.post(f"/api/v1/{path}", files={"file": ("me.jpg", data)}, data=fields, headers=headers)


def test_portrait_answers_a_report_and_links(client: httpx.Client, portrait_jpeg: bytes) -> None:
    reply = _send(client, "portrait", portrait_jpeg, width=200, height=300, formats="png,webp", shape="none")
    body = reply.json()
    assert [artifact["format"] for artifact in body["artifacts"]] == ["png", "webp"]
    assert body["report"]["source"]["name"] == "me.jpg"
    assert len(body["report"]["faces"]) == 1
    assert "restore" in {stage["stage"] for stage in body["report"]["stages"]}
    for artifact in body["artifacts"]:
        file = client.get(artifact["url"])
        assert file.headers["content-type"] == artifact["media_type"]
        assert len(file.content) == artifact["bytes"]
        assert Pillow.open(io.BytesIO(file.content)).size == (200, 300)
    assert reply.headers["x-facecraft-job-id"] == body["job_id"]
    kept = client.get(f"/api/v1/download/{body['job_id']}/json").json()
    assert kept == body["report"]


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_picture_comes_straight_back_when_accept_asks_for_one(
    client: httpx.Client, portrait_jpeg: bytes, kind: str
) -> None:
    reply = _send(client, "portrait", portrait_jpeg, accept=f"image/{kind}", width=96, height=96)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == f"image/{kind}"
    assert Pillow.open(io.BytesIO(reply.content)).format == kind.upper()
    assert "detect;dur=" in reply.headers["server-timing"]


def test_cutout_keeps_the_size_and_hides_the_background(client: httpx.Client, portrait_jpeg: bytes) -> None:
    reply = _send(client, "cutout", portrait_jpeg, accept="image/png")
    pixels = np.asarray(Pillow.open(io.BytesIO(reply.content)))
    assert pixels.shape == (512, 512, 4)
    assert pixels[100, 220, 3] > 240  # the forehead
    assert not pixels[pixels[..., 3] == 0].any()


def test_a_second_picture_can_stand_behind(client: httpx.Client, portrait_jpeg: bytes) -> None:
    blue = io.BytesIO()
    Pillow.new("RGB", (40, 30), (0, 0, 255)).save(blue, "PNG")
    files = {"file": ("me.jpg", portrait_jpeg), "background_image": ("sky.png", blue.getvalue())}
    data = {"background": "image", "shape": "none", "width": 128, "height": 128}
    reply = client.post("/api/v1/portrait", files=files, data=data, headers={"Accept": "image/png"})
    corner = np.asarray(Pillow.open(io.BytesIO(reply.content)).convert("RGB"))[2, 2]
    assert tuple(corner) == (0, 0, 255)


def test_background_image_without_a_picture_is_explained(client: httpx.Client, portrait_jpeg: bytes) -> None:
    reply = _send(client, "portrait", portrait_jpeg, background="image")
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_option")
    assert "background_image" in reply.json()["hint"]


def test_detect_reports_faces_and_no_face_is_not_an_error(client: httpx.Client, portrait_jpeg: bytes) -> None:
    body = _send(client, "detect", portrait_jpeg).json()
    assert [len(face["landmarks"]) for face in body["faces"]] == [5]
    assert body["outputs"] == []
    wall = io.BytesIO()
    Pillow.new("RGB", (100, 80), (90, 90, 90)).save(wall, "PNG")
    reply = _send(client, "detect", wall.getvalue())
    assert (reply.status_code, reply.json()["faces"]) == (200, [])


def test_a_pipeline_runs_as_data(client: httpx.Client, portrait_jpeg: bytes) -> None:
    pipeline = {
        "steps": [{"stage": "detect"}, {"stage": "crop", "options": {"width": 80, "height": 90}}],
        "output": {"formats": ["jpeg"]},
    }
    reply = _send(client, "pipelines/run", portrait_jpeg, pipeline=json.dumps(pipeline))
    assert reply.status_code == 200, reply.text
    (artifact,) = reply.json()["artifacts"]
    assert (artifact["format"], artifact["width"], artifact["height"]) == ("jpeg", 80, 90)


@pytest.mark.parametrize(
    "text", ["", "{", '{"steps": [{"stage": "no_such"}]}', '{"steps": [{"stage": "crop", "options": {"width": 9e9}}]}']
)
def test_a_bad_pipeline_is_a_problem(client: httpx.Client, portrait_jpeg: bytes, text: str) -> None:
    reply = _send(client, "pipelines/run", portrait_jpeg, pipeline=text)
    assert reply.status_code == 422
    assert reply.json()["code"] in ("invalid_pipeline", "invalid_request")


def test_readiness_is_seen(open_door: Callable[..., object], studio: Studio) -> None:
    door = open_door(studio)
    for _ in range(200):
        reply = door.client.get("/ready")
        if reply.status_code == 200:
            break
        assert reply.json()["ready"] is False
        time.sleep(0.05)
    assert reply.json().items() >= {"ready": True, "models_loaded": True}.items()
    assert {"blazeface_full_sparse", "mp_face_landmark_468", "mp_selfie"} <= set(studio.hub.used())
