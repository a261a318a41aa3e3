"""Jobs as a client of the HTTP API sends and sees them; they need no network."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from PIL import Image as Pillow

from facecraft.pipelines.stage import Watch
from facecraft.studio.performing import StudioPerformer

JOBS = "/api/v1/jobs"
COPY = json.dumps({"kind": "pipeline", "name": "copy", "pipeline": {"output": {"formats": ["png", "jpeg"]}}})
"""A task without a network: the picture as it is, in two formats."""


def picture(color: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (48, 32)) -> bytes:
    """Return a PNG of one color."""
    data = io.BytesIO()
    Pillow.new("RGB", size, color).save(data, "PNG")
    return data.getvalue()


def send(client: httpx.Client, *files: tuple[str, bytes], **fields: Any) -> httpx.Response:
    """Send a job that copies ``files``; ``headers`` are those of the request."""
    headers = fields.pop("headers", {})
    named = [(name, (None, value)) for name, value in {"task": COPY, **fields}.items()]  # a form even without a file
    return client.post(JOBS, files=[*named, *(("files", each) for each in files)], headers=headers)


def settled(client: httpx.Client, job: Mapping[str, Any]) -> dict[str, Any]:
    """Wait for the end of a job and return what is told of it."""
    for _ in range(600):
        body: dict[str, Any] = client.get(job["links"]["self"]).json()
        if body["state"] in ("succeeded", "failed", "cancelled"):
            return body
        time.sleep(0.02)
    raise AssertionError(f"the job did not end: {body}")


def until(true: Callable[[], object]) -> None:
    """Wait until something is so."""
    for _ in range(600):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError("that did not happen")


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Watch]]:
    """Let jobs wait in the middle of their work until the block ends or somebody stops them."""
    watches: list[Watch] = []
    released: list[bool] = []
    work = StudioPerformer.__call__

    def waiting(self: StudioPerformer, *given: Any, watch: Watch, **named: Any) -> Any:
        watches.append(watch)
        while not released:
            watch.cancel.check()
            time.sleep(0.01)
        return work(self, *given, watch=watch, **named)

    with monkeypatch.context() as patched:
        patched.setattr(StudioPerformer, "__call__", waiting)
        try:
            yield watches
        finally:
            released.append(True)
