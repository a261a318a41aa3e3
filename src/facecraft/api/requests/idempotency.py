"""The Idempotency-Key header: a request that makes something and is sent again makes nothing again.

A route needs one parameter and one line::

    async def make(form: JobForm, idempotent: IdempotentOf) -> Response:
        return await idempotent(lambda: make_it(form))

What is made, and that it was made, should be written down together: `keeping` gives what the transaction writes for
that. Then neither a crash nor a database that fails a moment later makes a client do it twice. Whatever is checked before
that line (the form, who calls, how often) refuses without leaving a trace.

What is answered may be nobody's business a day later: names of people, which were deleted since, or a secret. Then only
ids are kept (`noting`), and who comes again is shown what there is by then (`noted`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import Depends, Header, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from facecraft import telemetry
from facecraft.api.callers.owners import OwnerOf
from facecraft.api.dependencies import ServicesOf
from facecraft.api.problems import answer, answered
from facecraft.api.requests.uploads import storage_error
from facecraft.errors import IdempotencyKeyError, IdempotencyReplyLostError, StorageError
from facecraft.jobs.idempotency import TAKEOVER, IdempotencyKeys, Replay, Started, check_key, joined
from facecraft.jobs.repository import Also, nothing

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
MAX_REPLY = 4 * 1024 * 1024
"""Most bytes of a reply that is kept."""
_LATER = (503, 504, 507)
"""Refusals of the server that say to come again: nothing was made."""
_JSON = "json"
"""Part of the media type of every reply that is kept: a picture belongs to its job, and is deleted with it."""
_OF_ONE_REPLY = ("content-length", "set-cookie", "date")
_OF_WHAT_WAS_MADE = ("location", "x-facecraft-job-id")
_CHUNK = 1024 * 1024

log = telemetry.logger("api")


async def alike(replay: Replay) -> Response:
    """Answer as the first time."""
    return Response(replay.body, replay.status, dict(replay.headers))


class Idempotent:
    """Does what a request asks for, unless its key says that this was done before."""

    def __init__(self, request: Request, owner: str | None, keys: Callable[[], IdempotencyKeys]) -> None:
        """``keys`` returns the keys of the server; it may block."""
        self._request = request
        self._owner = owner
        self._keys = keys
        self._started: Started | None = None

    def keeping(self, reply: Response) -> Also:
        """Return what keeps ``reply`` in the transaction that makes what it tells of; without a key nothing.

        It must hold no pictures: what is kept here outlives the job that made them.
        """
        return nothing if self._started is None else joined(self._started, *self._kept(reply))

    def noting(self, *ids: str) -> Also:
        """As :meth:`keeping`, but of what is made only the ids are kept, for :meth:`noted`."""
        return self.keeping(Response(json.dumps(ids), media_type="application/json"))

    async def noted(self, do: Callable[[], Awaitable[Response]], show: Callable[[list[str]], Response]) -> Response:
        """As calling it, with ``do`` that uses :meth:`noting`: what it made is shown as it is when a request comes again.

        ``show`` blocks; it may raise that what was made is there no more.
        """

        async def again(replay: Replay) -> Response:
            if replay.status >= 400:  # a failure of the server, which made nothing
                return await alike(replay)
            return await anyio.to_thread.run_sync(show, json.loads(replay.body))

        return await self(do, again)

    async def __call__(
        self, do: Callable[[], Awaitable[Response]], again: Callable[[Replay], Awaitable[Response]] = alike
    ) -> Response:
        """Answer with ``do()``; with a key, once, and for a day with ``again`` of what was kept.

        Kept is what :meth:`keeping` wrote down, whatever happens afterwards; otherwise a reply that is no refusal, or
        a failure of the server. Other refusals say that nothing was made, and leave no trace.

        Raises IdempotencyKeyError, IdempotencyMismatchError, IdempotencyInProgressError, StorageError.
        """
        sent = self._request.headers.getlist(HEADER)
        if not sent:
            return await do()
        if len(sent) > 1:
            raise IdempotencyKeyError
        key, fingerprint = check_key(sent[0]), await fingerprint_of(self._request)
        keys = await anyio.to_thread.run_sync(self._keys)
        begun = await anyio.to_thread.run_sync(keys.begin, self._owner, key, fingerprint)
        if isinstance(begun, Replay):
            response = await answered(self._request, partial(again, begun))
            response.headers[REPLAYED] = "true"
            return response
        self._started = begun
        response = await answered(self._request, do)
        status = response.status_code
        try:
            if status < 400 or (status >= 500 and status not in _LATER):
                kept = self._kept(response)
                await anyio.to_thread.run_sync(keys.finish, begun, *kept)
            else:
                await anyio.to_thread.run_sync(keys.forget, begun)
        except StorageError as error:
            # It is done: to say otherwise would make the client do it twice.
            log.warning("a reply could not be kept: %s", error.message, extra={"detail": error.detail})
        return response

    def _kept(self, response: Response) -> tuple[int, dict[str, str], bytes]:
        """Return what is answered the next time: the same, or that it could not be kept."""
        body = getattr(response, "body", None) if _JSON in response.headers.get("content-type", _JSON) else None
        headers = {name: value for name, value in response.headers.items() if name not in _OF_ONE_REPLY}
        if isinstance(body, bytes) and len(body) <= MAX_REPLY:
            return response.status_code, headers, body
        made = {name: value for name, value in headers.items() if name in _OF_WHAT_WAS_MADE}
        lost = answer(self._request.scope, IdempotencyReplyLostError())
        return lost.status_code, {"content-type": lost.headers["content-type"], **made}, bytes(lost.body)


async def fingerprint_of(request: Request) -> str:
    """Return the SHA-256 of what ``request`` asks for: method, path, query, and the body.

    Of a form these are its fields, whatever their order, and the names and bytes of its files; of anything else the
    bytes. The form must have been read, or be readable, as ``request.form()``. Raises StorageError.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    content: list[list[str]] = []
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        for name, value in (await request.form()).multi_items():
            if isinstance(value, UploadFile):
                digest = await anyio.to_thread.run_sync(partial(_digest, value))
                content.append([name, "file", value.filename or "", digest])
            else:
                content.append([name, "field", value, ""])
        content.sort(key=lambda part: part[0])  # stable: the order of several values of one name means something
    else:
        content.append(["", "body", "", hashlib.sha256(await request.body()).hexdigest()])
    query = sorted(request.query_params.multi_items())
    everything = [request.method, request.url.path, query, content]
    return hashlib.sha256(json.dumps(everything).encode()).hexdigest()


def _digest(upload: UploadFile) -> str:
    """Return the SHA-256 of a file, which is left at its beginning. Raises StorageError."""
    found = hashlib.sha256()
    try:
        upload.file.seek(0)
        while chunk := upload.file.read(_CHUNK):
            found.update(chunk)
        upload.file.seek(0)
    except OSError as error:
        raise storage_error(error) from error
    return found.hexdigest()


async def idempotent_of(
    request: Request,
    services: ServicesOf,
    owner: OwnerOf,
    key: Annotated[  # noqa: ARG001 - for the OpenAPI document: two keys are told from one where they are read
        str | None,
        Header(alias=HEADER, description="Sent again with the same key, the request makes nothing again."),
    ] = None,
) -> Idempotent:
    """Return what does the work of ``request`` once."""
    takeover = max(TAKEOVER, timedelta(seconds=2 * services.settings.request_timeout_seconds))

    def keys() -> IdempotencyKeys:
        jobs = services.studio.jobs
        return IdempotencyKeys(jobs.database, clock=jobs.repository.clock, takeover=takeover)

    return Idempotent(request, owner, keys)


IdempotentOf = Annotated[Idempotent, Depends(idempotent_of)]
