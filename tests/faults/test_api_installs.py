"""A request that lacks a model: refused, or the reason of exactly one installation in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from facecraft.catalog.spec import ModelSpec
from facecraft.catalog.store import ModelStore
from facecraft.inference.devices import resolve
from facecraft.inference.pool import SessionPool
from facecraft.settings import Settings
from facecraft.studio import Studio
from services.tiny_networks import catalog_of, color_embedder, real_rows, row

MODEL = "arcface_w600k_r50"


class Source(ThreadingHTTPServer):
    """A source of the model on the loopback address that waits until it is told to go on."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked = 0
        self.body = color_embedder()
        self.go = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/model.onnx"


class _Answer(BaseHTTPRequestHandler):
    server: Source

    def do_GET(self) -> None:
        self.server.asked += 1
        self.server.go.wait(20)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.go.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def serve(
    open_door: Callable[..., object], tmp_path: Path, models_dir: Path, source: Source
) -> Callable[..., httpx.Client]:
    """Open a server whose only recogniser can be installed from ``source``."""

    def start(*, commercial: bool = True, leave_out: str = "dlib_resnet", **changes: object) -> httpx.Client:
        root = tmp_path / "models"
        root.mkdir()
        real = {spec.id: spec for spec in real_rows(root, models_dir)}
        missing = real.pop(leave_out)
        specs = [*real.values(), row(MODEL, color_embedder(), commercial=commercial, url=source.url)]
        if leave_out != "dlib_resnet":
            (root / str(missing.file)).unlink()
            specs.append(ModelSpec.model_validate(missing.model_dump() | {"sources": (source.url,)}))
        settings = {"models_dir": root, "offline": False, "auto_install": True, **changes}
        chosen = Settings(**{**settings, "device": "cpu"})
        store = ModelStore(catalog_of(specs), root, offline=chosen.offline, policy=chosen.license_policy)
        studio = Studio(chosen, store, SessionPool(), resolve("cpu"), threads=1)
        return open_door(studio, **settings).client

    return start


def _embed(client: httpx.Client, photo: bytes) -> httpx.Response:
    return client.post("/api/v1/faces/embeddings", files={"file": ("me.jpg", photo)})


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert true()


def test_many_requests_start_one_installation_and_later_ones_are_served(
    serve: Callable[..., httpx.Client], source: Source, portrait_jpeg: bytes
) -> None:
    client = serve()
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: _embed(client, portrait_jpeg), range(8)))
    assert {(reply.status_code, reply.json()["code"]) for reply in replies} == {(503, "model_installing")}
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in replies)
    assert client.get("/health").json()["models"][MODEL] == "loading"
    source.go.set()
    _until(lambda: _embed(client, portrait_jpeg).status_code == 200)
    assert source.asked == 1
    assert client.get("/status").json()["statistics"]["total_processed"] >= 9


def test_the_missing_model_of_a_batch_is_installed_too(
    serve: Callable[..., httpx.Client], source: Source, portrait_jpeg: bytes
) -> None:
    client = serve(leave_out="mp_selfie")
    files = [("files", (f"{number}.jpg", portrait_jpeg)) for number in range(2)]
    items = client.post("/api/v1/process/batch", files=files).json()["results"]
    assert {item["error"] for item in items} == {"model_installing"}


@pytest.mark.parametrize("changes", [{"auto_install": False}, {"offline": True}, {"commercial": False}])
def test_nothing_is_fetched_where_it_is_not_allowed(
    serve: Callable[..., httpx.Client], source: Source, portrait_jpeg: bytes, changes: dict[str, bool]
) -> None:
    source.go.set()
    client = serve(**changes)
    for _ in range(3):
        reply = _embed(client, portrait_jpeg)
        assert reply.status_code == 503
        assert reply.json()["code"] == "model_not_installed"
        assert reply.json()["hint"].startswith("facecraft models install")
    assert source.asked == 0


def test_a_failed_installation_is_told_and_not_repeated_at_once(
    serve: Callable[..., httpx.Client], source: Source, portrait_jpeg: bytes
) -> None:
    source.body = b"another file"
    source.go.set()
    client = serve()
    assert _embed(client, portrait_jpeg).json()["code"] == "model_installing"
    _until(lambda: _embed(client, portrait_jpeg).json()["code"] == "model_not_installed")
    asked = source.asked
    reply = _embed(client, portrait_jpeg).json()
    assert "installation failed" in reply["detail"]
    assert source.asked == asked
