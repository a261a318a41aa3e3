"""How many bytes a request may send, and how slowly: enforced while they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facecraft.api.problems import answer
from facecraft.errors import DeadlineError, UploadTooLargeError
from facecraft.pipelines.presets import COMPANIONS, PRESETS
from facecraft.settings import Settings

MIB = 1024 * 1024
GALLERIES = "/api/v1/galleries"
ACCOUNTS = ("/api/v1/auth/", "/api/v1/account", "/api/v1/users")
WEBHOOKS = "/api/v1/webhooks"
JOBS = "/api/v1/jobs"
MOST_COMPANIONS = len(COMPANIONS) + 1
"""Pictures that may go with those of a job: what pipelines take, and a second one to compare with."""
OVERHEAD = MIB
"""Bytes of a request that are not pictures: fields and the headers of parts."""
LARGEST_BATCH = 1024 * MIB
"""No batch may send more than this, whatever the limits for files allow."""
SILENCE_SECONDS = 30.0
"""A client that sends nothing for so long in the middle of a body is given up."""
LINGER_SECONDS = 1.0
LINGER_BYTES = 4 * MIB
"""A refused client is listened to a little longer, so that it reads the answer instead of a broken connection."""


def body_limit(settings: Settings, path: str) -> int:
    """Return the largest body, in bytes, that a request to ``path`` may send."""
    largest = settings.max_upload_size_mb * MIB
    if path.startswith(GALLERIES) and not path.endswith(("/people", "/faces", "/search")):
        return OVERHEAD  # names and details
    if path.startswith((*ACCOUNTS, WEBHOOKS)):
        return OVERHEAD  # names, passwords and addresses
    if path == JOBS:
        return min(largest * (settings.batch_max_files + MOST_COMPANIONS), max(largest, LARGEST_BATCH)) + OVERHEAD
    if path.endswith("/batch") or (path.startswith(GALLERIES) and not path.endswith("/search")):
        return min(largest * settings.batch_max_files, max(largest, LARGEST_BATCH)) + OVERHEAD
    return pictures_of(path) * largest + OVERHEAD


def pictures_of(path: str) -> int:
    """Return how many pictures a request to ``path`` may send, unless it is for many: one and those that go with it."""
    name = path.rsplit("/", 1)[-1]
    if path.endswith("/pipelines/run"):
        return 1 + len(COMPANIONS)
    return max(2, 1 + len(PRESETS[name].companions)) if name in PRESETS else 2


class BodyLimit:
    """Refuses bodies over ``limit(path)`` bytes, by their announced length or while they are counted.

    The rest of a refused body is not read: the connection is closed.
    """

    def __init__(self, app: ASGIApp, *, limit: Callable[[str], int]) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, send, self._limit(scope["path"]))
        try:
            body.check_announced()
            await self._app(scope, body.receive, body.send)
        except UploadTooLargeError as error:
            await answer(scope, error)(scope, receive, body.send)


class _Body:
    """The body of one request as far as it has come."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self._send = send
        self._limit = limit
        self._announced = headers.get("content-length", "")
        self._read = 0
        self._complete = not headers.get("transfer-encoding") and self._announced in ("", "0")

    def check_announced(self) -> None:
        if self._announced.isascii() and self._announced.isdigit() and int(self._announced[:20]) > self._limit:
            raise self._too_large()

    def _too_large(self) -> UploadTooLargeError:
        return UploadTooLargeError(f"A request to this endpoint may have at most {self._limit // MIB} MiB.")

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                message = await self._receive()
        except TimeoutError as error:
            raise DeadlineError("The upload stalled.") from error
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._read > self._limit:
                raise self._too_large()
        else:
            self._complete = True
        return message

    async def send(self, message: Message) -> None:
        if not self._complete:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                await self._send({**message, "more_body": True})
                await self._linger()
                message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _linger(self) -> None:
        heard = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while heard < LINGER_BYTES:
                    message = await self._receive()
                    heard += len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return
        except TimeoutError:
            return
