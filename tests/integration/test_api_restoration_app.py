"""The paths of the restoration web app, with a network that is no network but keeps the contract of one."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

from facecraft.studio import Studio
from services.jobs import held, picture, until
from services.redis_server import run_redis
from services.tiny_networks import tiny_studio


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Studio]:
    with tiny_studio(tmp_path_factory.mktemp("tiny"), models_dir) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(open_door: Callable[..., Any], tiny: Studio) -> httpx.Client:
    found: httpx.Client = open_door(tiny).client
    return found


def finished(client: httpx.Client, url: str) -> dict[str, Any]:
    for _ in range(600):
        body: dict[str, Any] = client.get(url).json()
        if body["status"] != "processing":
            return body
        time.sleep(0.05)
    raise AssertionError("the restoration did not end")


def test_a_photo_is_sent_looked_at_and_fetched(
    client: httpx.Client, portrait_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(monkeypatch) as watches:
        sent = client.post("/submit", files={"file": ("../my photo.jpg", portrait_jpeg)})
        assert sent.status_code == 200, sent.text
        body = sent.json()
        assert set(body) == {"job_id", "status", "status_url", "message"}
        assert (body["status"], body["status_url"]) == ("processing", f"/status/{body['job_id']}")
        until(lambda: watches)
        waiting = client.get(body["status_url"]).json()
        assert set(waiting) == {"status", "job_id", "message", "elapsed_minutes", "progress"}
        assert waiting["status"] == "processing"
        assert 0 <= waiting["elapsed_minutes"] < 1
    done = finished(client, body["status_url"])
    assert (done["status"], done["image_url"]) == ("completed", f"/images/{body['job_id']}/restored_my_photo.png")
    image = client.get(done["image_url"])
    assert image.headers["content-type"] == "image/png"
    assert image.headers["content-disposition"] == 'attachment; filename="restored_my_photo.png"'
    restored, original = Pillow.open(io.BytesIO(image.content)), Pillow.open(io.BytesIO(portrait_jpeg))
    assert restored.size == (2 * original.width, 2 * original.height)
    # The network gives the negative of the face it is shown: it was there, and the corner was left alone.
    before, after = (np.asarray(each.convert("RGB").resize((512, 512))).astype(int) for each in (original, restored))
    assert np.abs(before - after)[120:150, 210:240].mean() > 25
    assert np.abs(before - after)[:40, :40].mean() < 10
    assert client.get(f"/images/{body['job_id']}/anything").content == image.content


def test_a_failure_is_told_again_and_again(client: httpx.Client) -> None:
    sent = client.post("/submit", files={"file": picture()[:60]}).json()
    for _ in range(2):
        failed = finished(client, sent["status_url"])
        assert (failed["status"], failed["error"]) == ("failed", "image_unreadable")
        assert failed["error_message"]
    assert client.get(f"/images/{sent['job_id']}/x.png").status_code == 404


def test_an_unknown_job_is_404_and_the_status_of_the_server_is_still_there(client: httpx.Client) -> None:
    assert client.get("/status/01900000-0000-7000-8000-000000000000").status_code == 404
    assert client.get("/status/no-id").status_code == 404
    assert client.get("/status").json()["status"] == "operational"


def test_without_a_network_the_command_that_installs_one_is_told(door: Any) -> None:
    reply = door.client.post("/submit", files={"file": picture()})
    assert reply.status_code == 503
    assert reply.json()["code"] == "model_not_installed"
    assert "facecraft models install" in reply.json()["hint"]


def test_a_server_without_models_takes_what_its_workers_restore(
    open_door: Callable[..., Any], portrait_jpeg: bytes
) -> None:
    with run_redis() as redis:
        client = open_door(celery_broker_url=redis.url).client
        sent = client.post("/submit", files={"file": ("me.jpg", portrait_jpeg)})
        assert sent.status_code == 200, sent.text
        assert client.get(sent.json()["status_url"]).json()["status"] == "processing"
