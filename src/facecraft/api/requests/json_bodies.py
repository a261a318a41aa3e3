"""Routes whose body is JSON, beside others of the same path that take a form."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Message, Scope

from facecraft.api.requests.limits import MIB
from facecraft.errors import UploadTooLargeError

LARGEST = MIB
"""Bytes of a body of JSON."""


class JsonRoute(APIRoute):
    """A route that only takes JSON: another media type is left to the next route of the same path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match only a body of JSON."""
        match, child = super().matches(scope)
        sent = next((value for key, value in scope.get("headers", ()) if key == b"content-type"), b"")
        is_json = sent.partition(b";")[0].strip().lower() == b"application/json"
        return (match, child) if is_json or match is Match.NONE else (Match.NONE, {})


class SmallJsonRoute(JsonRoute):
    """A :class:`JsonRoute` of a path that takes large forms, too: JSON itself is never large."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Read the body first, up to a limit."""
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            body = bytearray()
            async for piece in request.stream():
                body += piece
                if len(body) > LARGEST:
                    raise UploadTooLargeError(f"A body of JSON may have at most {LARGEST // MIB} MiB.")

            async def replay() -> Message:
                return {"type": "http.request", "body": bytes(body), "more_body": False}

            return await handle(Request(request.scope, replay))

        return bounded
