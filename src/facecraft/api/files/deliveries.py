"""Stored bytes on their way out: sent a piece at a time, or fetched from the store by a link."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import anyio.to_thread
from fastapi import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from facecraft.api.connections import connection_of
from facecraft.api.dependencies import Services
from facecraft.jobs.blob_rows import Blob

After = Callable[[], Awaitable[None]]
"""What is done when the last byte has come to the client."""

ELSEWHERE: dict[int | str, dict[str, Any]] = {
    304: {"description": "The file is the one of `If-None-Match`."},
    307: {"description": "The file is fetched from the store, where the operator wants that: follow redirects."},
}
"""What the OpenAPI document says of :func:`deliver` besides the file."""

WHOLE = 1024 * 1024
"""Bytes up to which a file is read whole: a thread for each of its pieces would cost more than it holds."""


def disposition(filename: str, *, inline: bool = False) -> str:
    """Return a Content-Disposition header for a file of any name (RFC 6266)."""
    kind = "inline" if inline else "attachment"
    plain = filename.encode("ascii", "replace").decode().replace("?", "_")
    plain = "".join(letter if letter.isalnum() or letter in "._- " else "_" for letter in plain)
    extended = "" if plain == filename else f"; filename*=utf-8''{quote(filename, safe='')}"
    return f'{kind}; filename="{plain}"{extended}'


async def deliver(
    request: Request,
    services: Services,
    blob: Blob,
    *,
    filename: str,
    after: After | None = None,
    inline: bool = False,
) -> Response:
    """Answer with the bytes of ``blob``, with a redirect to them, or with 304 for who has them already.

    Raises InputBlobNotFoundError or ArtifactNotFoundError when they are gone, StorageError.
    """
    blobs, seconds = services.studio.jobs.blobs, services.settings.presign_seconds
    tag = f'"{blob.id}"'  # the bytes of an id never change
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization, X-API-Key"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if seconds and after is None and request.method != "HEAD":
        link = await anyio.to_thread.run_sync(blobs.presign, blob, seconds)
        if link is not None:
            return RedirectResponse(link, HTTPStatus.TEMPORARY_REDIRECT, {"Cache-Control": "no-store"})
    headers["Content-Disposition"] = disposition(filename, inline=inline)
    if blob.bytes <= WHOLE and after is None and request.method != "HEAD":
        return Response(await anyio.to_thread.run_sync(blobs.read, blob), media_type=blob.media_type, headers=headers)
    headers["Content-Length"] = str(blob.bytes)
    if request.method == "HEAD":
        return Response(headers=headers, media_type=blob.media_type)
    pieces = await anyio.to_thread.run_sync(blobs.stream, blob)
    return sending(request, pieces, after, media_type=blob.media_type, headers=headers)


def sending(
    request: Request, pieces: Iterator[bytes], after: After | None, *, media_type: str, headers: Mapping[str, str]
) -> Response:
    """Answer with ``pieces``, and do ``after`` once all of them have come to the client."""
    if after is None:
        return StreamingResponse(pieces, media_type=media_type, headers=headers)
    return _Watched(request, pieces, after, media_type=media_type, headers=headers)


class _Watched(StreamingResponse):
    """A stream that does something once all of it has come to the client, and does not when it broke off.

    That the client is gone says nothing: many close the connection with the last byte. What counts is whether it had
    got everything before, which the connection knows. Under a server whose connections do not know it, everything counts
    as delivered that was handed over before the client was gone.
    """

    def __init__(
        self, request: Request, pieces: Iterator[bytes], after: After, *, media_type: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._request = request
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the request listens
        """Send it all, wait until it has come, and do what comes then."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        held = b""  # the last piece is sent only to a client that was there until then
        async for piece in self.body_iterator:
            if not isinstance(piece, bytes) or not piece:
                continue
            if held:
                if await self._request.is_disconnected():
                    return
                await send({"type": "http.response.body", "body": held, "more_body": True})
            held = piece
        if await self._request.is_disconnected():
            return
        await send({"type": "http.response.body", "body": held, "more_body": True})
        connection = connection_of(scope)
        come = connection is None or await connection.settled()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if come:
            await self._after()
