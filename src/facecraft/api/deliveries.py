"""Stored bytes on their way out: sent a piece at a time, or fetched from the store by a link."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http import HTTPStatus
from urllib.parse import quote

import anyio.to_thread
from fastapi import Request
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import RedirectResponse, Response, StreamingResponse

from facecraft.api.dependencies import Services
from facecraft.jobs.blob_rows import Blob

After = Callable[[], Awaitable[None]]
"""What is done when the last byte has gone out to somebody who is still there."""


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
    headers |= {
        "Content-Disposition": disposition(filename, inline=inline),
        "Content-Length": str(blob.bytes),
    }
    if request.method == "HEAD":
        return Response(headers=headers, media_type=blob.media_type)
    pieces = await anyio.to_thread.run_sync(blobs.stream, blob)
    return StreamingResponse(outgoing(request, pieces, after), media_type=blob.media_type, headers=headers)


async def outgoing(request: Request, pieces: Iterator[bytes], after: After | None) -> AsyncIterator[bytes]:
    """Yield ``pieces``, and do ``after`` when all of them have gone out to somebody who is still there."""
    async for piece in iterate_in_threadpool(pieces):
        if piece:
            yield piece
    if after is not None and not await request.is_disconnected():
        await after()
