"""Bodies: counted while they are read, and given up when they stall."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from facecraft.api.requests import limits
from facecraft.api.requests.limits import MIB, BodyLimit, body_limit
from facecraft.settings import Settings


def _settings(tmp_path: Path, **changes: object) -> Settings:
    return Settings(models_dir=tmp_path, upload_dir=tmp_path, output_dir=tmp_path, **changes)


def test_limits_follow_the_settings(tmp_path: Path) -> None:
    settings = _settings(tmp_path, max_upload_size_mb=3, batch_max_files=4)
    assert body_limit(settings, "/api/v1/portrait") == 7 * MIB
    assert body_limit(settings, "/api/v1/faces/swap") == 10 * MIB
    assert body_limit(settings, "/api/v1/pipelines/run") == 13 * MIB
    assert body_limit(settings, "/api/v1/faces/compare") == 7 * MIB
    assert body_limit(settings, "/api/v1/process/batch") == 13 * MIB
    vast = _settings(tmp_path, max_upload_size_mb=500, batch_max_files=1000)
    assert body_limit(vast, "/api/v1/process/batch") == 1025 * MIB


def _talk(chunks: list[dict[str, object]], headers: list[tuple[bytes, bytes]], limit: int) -> list[dict[str, object]]:
    """Run one request through the layer, over an application that reads the whole body; return what was sent."""
    sent: list[dict[str, object]] = []

    async def app(scope: object, receive, send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def receive() -> dict[str, object]:
        if chunks:
            return chunks.pop(0)
        await asyncio.sleep(60)
        raise AssertionError("asked for more than there is")

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/x", "method": "POST", "headers": headers}
    asyncio.run(BodyLimit(app, limit=lambda _: limit)(scope, receive, send))
    return sent


def _chunk(size: int, *, more: bool) -> dict[str, object]:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


CHUNKED = [(b"transfer-encoding", b"chunked")]


def test_a_body_of_exactly_the_limit_passes() -> None:
    sent = _talk([_chunk(60, more=True), _chunk(40, more=False)], CHUNKED, limit=100)
    assert sent[0]["status"] == 200
    assert (b"connection", b"close") not in sent[0]["headers"]


def test_one_byte_more_is_refused_and_the_connection_closed() -> None:
    sent = _talk([_chunk(60, more=True), _chunk(41, more=True), _chunk(9, more=False)], CHUNKED, limit=100)
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]
    assert sent[-1]["more_body"] is False


def test_an_announced_body_over_the_limit_is_refused_unread() -> None:
    sent = _talk([_chunk(1, more=False)], [(b"content-length", b"101")], limit=100)
    assert sent[0]["status"] == 413


def test_a_silent_client_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(limits, "LINGER_SECONDS", 0.05)
    with pytest.raises(limits.DeadlineError):
        _talk([_chunk(5, more=True)], CHUNKED, limit=100)
