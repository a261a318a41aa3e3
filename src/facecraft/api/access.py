"""Who may call: one API key for all, when the operator set one."""

from __future__ import annotations

import hashlib
import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from facecraft.api.problems import answer
from facecraft.errors import UnauthenticatedError

OPEN_PATHS = ("/health", "/ready", "/", "/docs", "/openapi.json")
"""What is answered without a key: what an orchestrator must reach, and the documentation, in which a browser is then
given the key. Of this server it says no more than which models of the catalogue are there."""
_OPEN_FOLDER = "/docs/"


class ApiKey:
    """Refuses calls without the key, before anything of their body is read.

    The key comes as ``X-API-Key`` or as ``Authorization: Bearer``. Digests are compared, in constant time, so that
    neither the content nor the length of the key shows in how long a refusal takes.
    """

    def __init__(self, app: ASGIApp, *, key: str) -> None:
        self._app = app
        self._digest = hashlib.sha256(key.encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_open = path in OPEN_PATHS or path.startswith(_OPEN_FOLDER)
        if scope["type"] == "http" and not is_open and not self._known(Headers(scope=scope)):
            await answer(scope, UnauthenticatedError())(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _known(self, headers: Headers) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
        return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), self._digest)
