"""Ids and formats in paths: nothing but a known id reaches the store."""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import product

import httpx

from facecraft.db.ids import new_id
from facecraft.settings import Settings
from services.jobs import picture, send, settled

IDS = [
    "..", "%2e%2e", "%2E%2E", "..%2f..", "%2e%2e%2f", "....//", ".", "%00", "..%00", "%c0%ae%c0%ae", "%u002e",
    "~", "*", "%", "%zz", "_check", "batch.members.json", "x" * 5000, "%F0%9F%92%A5", "%E2%80%AE", "con",
    "{01a1fb8c-3aab-7532-b09d-8195d671f95a}", "urn:uuid:01a1fb8c-3aab-7532-b09d-8195d671f95a",
    "01a1fb8c3aab7532b09d8195d671f95a", "01a1fb8c-3aab-7532-b09d-8195d671f95a%0a", "-1", "0", "null",
]  # fmt: skip
FORMATS = ["..", "%2e%2e", "..%2fresult.png", "png%00", "exe", "x" * 3000, "%2a", "result.png", "PNG%20"]


PATHS = [
    "/api/v1/download/{}/png", "/api/v1/jobs/{}", "/api/v1/jobs/{}/events", "/api/v1/jobs/{}/artifacts.zip",
    "/api/v1/jobs/{}/artifacts/result.png", "/api/v1/blobs/{}", "/api/v1/blobs/{}/content", "/status/{}",
    "/images/{}/restored.png",
]  # fmt: skip


def _raw(port: int, method: str, path: str) -> int:
    """Send the path exactly as it is: clients tidy paths up."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return int(line.recv(65536).split()[1])


def _plant(settings: Settings, job: str) -> dict[str, bytes]:
    """Put files where traversal would find them; return what must be there afterwards."""
    (settings.output_dir / job).mkdir()
    (settings.output_dir / job / "result.png").write_bytes(b"loose, too")
    (settings.output_dir.parent / "result.png").write_bytes(b"outside")
    (settings.output_dir / "result.png").write_bytes(b"loose")
    return _everything(settings)


def _everything(settings: Settings) -> dict[str, bytes]:
    top = settings.output_dir.parent
    files = [path for path in top.rglob("*") if path.is_file() and not path.name.startswith("facecraft.db")]
    return {str(path.relative_to(top)): path.read_bytes() for path in files}


def _made(client: httpx.Client) -> str:
    """Let the server make something, and return the id of its job."""
    job = settled(client, send(client, ("me.png", picture())).json())
    return str(job["id"])


def test_hostile_ids_find_nothing_and_touch_nothing(open_door: Callable[..., object]) -> None:
    door = open_door()
    before = _plant(door.settings, new_id())
    for hostile in IDS:
        assert _raw(door.port, "DELETE", f"/api/v1/jobs/{hostile}") in (400, 404), hostile[:60]
        for path in PATHS:
            assert _raw(door.port, "GET", path.format(hostile)) in (400, 404), (path, hostile[:60])
    assert _everything(door.settings) == before


def test_hostile_formats_find_nothing(open_door: Callable[..., object]) -> None:
    door = open_door()
    job = _made(door.client)
    before = _plant(door.settings, job)
    for hostile, method in product(FORMATS, ("GET", "DELETE")):
        for path in (f"/api/v1/download/{job}/{hostile}", f"/api/v1/jobs/{job}/artifacts/{hostile}"):
            if hostile != "result.png":
                assert _raw(door.port, method, path) in (400, 404, 405), path[:90]
    assert _raw(door.port, "GET", f"/api/v1/download/{job}/png") == 200
    assert _raw(door.port, "GET", f"/api/v1/download/{job.upper()}/png") == 200
    assert _everything(door.settings) == before
    assert _raw(door.port, "DELETE", f"/api/v1/jobs/{job}") == 200
    assert _everything(door.settings).items() < before.items()
    assert not [name for name in _everything(door.settings) if "blobs/" in name]
