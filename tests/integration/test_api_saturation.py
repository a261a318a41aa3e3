"""A server as people start it, in a process of its own: it answers while every core is busy with portraits."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from facecraft.studio import Studio
from services.ports import free_port

START = "from facecraft.api.serving import serve; from facecraft.settings import Settings; serve(Settings.load())"


@pytest.fixture
def served(studio: Studio, tmp_path: Path) -> Iterator[str]:
    """The address of a server that is ready."""
    port = free_port()
    settings = {
        "PORT": port, "MODELS_DIR": studio.settings.models_dir, "UPLOAD_DIR": tmp_path / "up", "DEVICE": "cpu",
        "OUTPUT_DIR": tmp_path / "out", "OFFLINE": 1, "CROPS_DIR": tmp_path / "crops",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'facecraft.db'}",
    }  # fmt: skip
    environment = {**os.environ, **{f"FACECRAFT_{name}": str(value) for name, value in settings.items()}}
    with subprocess.Popen([sys.executable, "-c", START], env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            assert _ready(address, process), "the server did not become ready"
            yield address
        finally:
            process.terminate()
            _, log = process.communicate(timeout=60)
    assert "Application shutdown complete" in log
    assert "Traceback" not in log


def _ready(address: str, process: subprocess.Popen[str]) -> bool:
    for _ in range(600):
        if process.poll() is not None:
            return False
        try:
            if httpx.get(f"{address}/ready", timeout=5).status_code == 200:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    return False


def test_health_answers_while_portraits_are_made(served: str, portrait_jpeg: bytes) -> None:
    """Health must not wait for a portrait. Real latencies are in the benchmarks; here the bound is generous."""
    answered: Counter[int] = Counter()

    def make() -> None:
        files = {"file": ("me.jpg", portrait_jpeg)}
        for _ in range(2):
            reply = httpx.post(f"{served}/api/v1/portrait", files=files, timeout=100)
            answered[reply.status_code] += 1

    makers = [threading.Thread(target=make) for _ in range(6)]
    for maker in makers:
        maker.start()
    waits = []
    busy = 0
    with httpx.Client(base_url=served, timeout=30) as client:
        while any(maker.is_alive() for maker in makers):
            start = time.perf_counter()
            assert client.get("/health").json()["status"] == "healthy"
            waits.append(time.perf_counter() - start)
            busy += client.get("/status").json()["queue"]["working"] > 0
            time.sleep(0.02)
    assert answered == {200: 12}
    assert busy >= 5, "the server was never saturated"
    assert sorted(waits)[len(waits) // 2] < 0.5
