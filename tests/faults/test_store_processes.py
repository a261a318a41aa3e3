"""Several processes and threads on one models folder, and processes that die."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from facecraft.catalog import Catalog, InstallStatus, ModelState, ModelStore
from facecraft.progress import ProgressEvent

BODY = hashlib.shake_128(b"weights").digest(2_000_000)
PROGRAM = """
import sys
from pathlib import Path
from facecraft.catalog import Catalog, ModelStore
catalog = Catalog.from_toml([Path(sys.argv[1]).read_text("utf-8")])
for result in ModelStore(catalog, Path(sys.argv[2])).install(sys.argv[3:]):
    sys.stdout.write(f"{result.model_id}={result.status}\\n")
"""


class SlowServer(ThreadingHTTPServer):
    """Sends the first half of the file, then waits until it is told to go on."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[str | None] = []
        self.half_sent = threading.Event()
        self.go_on = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is what a test is about."""


class _Answer(BaseHTTPRequestHandler):
    server: SlowServer

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        self.send_header("Content-Length", str(len(BODY) - start))
        self.end_headers()
        if not wanted:
            self.wfile.write(BODY[: len(BODY) // 2])
            self.wfile.flush()
            start = len(BODY) // 2
            self.server.half_sent.set()
            self.server.go_on.wait(20)
        self.wfile.write(BODY[start:])

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowServer]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with SlowServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.go_on.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def document(server: SlowServer, tmp_path: Path) -> Path:
    path = tmp_path / "catalog.toml"
    path.write_text(
        f"""
        [[model]]
        id = "net"
        task = "matting"
        architecture = "toy"
        file = "net.onnx"
        bytes = {len(BODY)}
        sha256 = "{hashlib.sha256(BODY).hexdigest()}"
        evidence = "local"
        license = "MIT"
        commercial = true
        risk = "low"
        runtime = "onnxruntime"
        sources = ["http://127.0.0.1:{server.server_port}/net.onnx"]
        """,
        "utf-8",
    )
    return path


def start(document: Path, root: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(document), str(root), "net"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def store_of(document: Path, root: Path) -> ModelStore:
    return ModelStore(Catalog.from_toml([document.read_text("utf-8")]), root)


def test_two_processes_download_once(server: SlowServer, document: Path, tmp_path: Path) -> None:
    root = tmp_path / "models"
    first = start(document, root)
    assert server.half_sent.wait(20)
    second = start(document, root)
    heard: list[ProgressEvent] = []
    waiting = threading.Event()

    def hear(event: ProgressEvent) -> None:
        heard.append(event)
        if "waiting" in event.message:
            waiting.set()

    with ThreadPoolExecutor(1) as pool:
        third = pool.submit(store_of(document, root).install, ["net"], progress=hear)
        assert waiting.wait(20), "who waits is told so"
        server.go_on.set()
        outputs = sorted(process.communicate(timeout=30)[0].strip() for process in (first, second))
        assert third.result(timeout=30)[0].status is InstallStatus.ALREADY
    assert outputs == ["net=already installed", "net=installed"]
    assert server.asked == [None]


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_download_is_continued(server: SlowServer, document: Path, tmp_path: Path) -> None:
    root = tmp_path / "models"
    process = start(document, root)
    assert server.half_sent.wait(20)
    part = root / ".partial" / "net.onnx.part"
    deadline = time.monotonic() + 20
    while (not part.exists() or part.stat().st_size < 500_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    store = store_of(document, root)
    assert store.state("net") is ModelState.ABSENT, "half a file is no model"
    have = part.stat().st_size

    assert store.install(["net"])[0].status is InstallStatus.INSTALLED

    assert server.asked == [None, f"bytes={have}-"]
    assert store.path("net").read_bytes() == BODY
    assert list((root / ".partial").iterdir()) == []


def test_many_threads_ask_at_once(document: Path, tmp_path: Path) -> None:
    store = store_of(document, tmp_path / "models")
    store.root.mkdir()
    (store.root / "net.onnx").write_bytes(BODY)
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: store.path("net"), range(64)))
    assert paths == {store.root / "net.onnx"}


def test_processes_do_not_tear_the_memory_of_checksums(document: Path, tmp_path: Path) -> None:
    root = tmp_path / "models"
    root.mkdir()
    (root / "net.onnx").write_bytes(BODY)
    processes = [start(document, root) for _ in range(3)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [out.strip() for out, _ in outputs] == ["net=already installed"] * 3, outputs
    assert json.loads((root / ".verified.json").read_text("utf-8"))["net.onnx"]["size"] == len(BODY)
