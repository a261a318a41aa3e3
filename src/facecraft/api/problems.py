"""Errors as RFC 9457 problem+json: the only place that knows which :class:`Kind` is which HTTP status."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facecraft import telemetry
from facecraft.errors import (
    CancelledError,
    FacecraftError,
    IdempotencyInProgressError,
    Kind,
    ModelInstallingError,
    ModelNotInstalledError,
)
from facecraft.imaging.codecs import OutputFormat

log = telemetry.logger("api")

STATUS: Mapping[Kind, int] = {
    Kind.INVALID: 422,
    Kind.MALFORMED: 400,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.BUSY: 429,
    Kind.CANCELLED: 499,
    Kind.DEADLINE: 504,
    Kind.UNAVAILABLE: 503,
    Kind.STORAGE_FULL: 507,
    Kind.CONFIGURATION: 500,
    Kind.INTERNAL: 500,
}
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
INSTALL_SECONDS = 10
"""When to ask again for a model that is being installed."""
RETRY_AFTER: Mapping[type[FacecraftError], int | None] = {
    ModelInstallingError: INSTALL_SECONDS,
    ModelNotInstalledError: None,  # until an operator installs it
    IdempotencyInProgressError: RETRY_AFTER_SECONDS,
}
"""When to ask again after errors of which their status does not say it already; None: asking again is of no use."""
JOB_ID = "X-Facecraft-Job-Id"
"""The header that names the job which a request made; its line in the log names it, too."""
_BODY = "body"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_QUIET = ("/health", "/ready", "/metrics")
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
_OWN_FILES = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'"
)
"""What the page of the documentation may load: its own files and nothing from anybody else."""


class FieldProblem(BaseModel):
    """One field of a request that is not valid. What was sent is not repeated."""

    field: str
    message: str
    type: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="Stable identifier of this sort of problem.")
    title: str = Field(description="The same for every problem of this sort.")
    status: int
    detail: str = Field(description="What happened, for people.")
    instance: str = Field(description="Identifier of this one occurrence.")
    code: str = Field(description="Stable code for programs.")
    request_id: str = Field(description="As in the X-Request-Id header and in the server's log.")
    hint: str | None = Field(default=None, description="What to do about it.")
    errors: list[FieldProblem] | None = Field(default=None, description="Fields that are not valid.")


RESPONSES: dict[int | str, dict[str, Any]] = {
    range_: {
        "description": f"{who} error",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for range_, who in (("4XX", "Client"), ("5XX", "Server"))
}
"""What the OpenAPI document says of errors, the same for every endpoint."""


def schemas() -> dict[str, Any]:
    """Return the JSON schemas that :data:`RESPONSES` refer to, by name."""
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), Problem.__name__: schema}


def request_id(scope: Scope) -> str:
    """Return the id of the request: the one the client sent, or one made here."""
    state: dict[str, Any] = scope.setdefault("state", {})
    if "request_id" not in state:
        sent = Headers(scope=scope).get("x-request-id", "")
        state["request_id"] = sent if _REQUEST_ID.fullmatch(sent) else uuid4().hex
    return str(state["request_id"])


def answer(
    scope: Scope, error: FacecraftError, extra: Mapping[str, object] | None = None, *, quiet: bool = False
) -> Response:
    """Return ``error`` as a problem; ``extra`` adds members to its body. Troubles of ours are logged unless ``quiet``."""
    status = STATUS[error.kind]
    if status >= 500 and not quiet:
        log.warning("%s: %s", error.code, error.message, extra={"detail": error.detail})
    title, message, hint = error.title, error.public_message, error.public_hint
    usual = RETRY_AFTER_SECONDS if status in (429, 503) else None
    seconds = next((wait for kind, wait in RETRY_AFTER.items() if isinstance(error, kind)), usual)
    headers = None if seconds is None else {"Retry-After": str(seconds)}
    return _problem(scope, status, error.code, title, message, hint=hint, headers=headers, extra=extra)


def _problem(
    scope: Scope,
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    hint: str | None = None,
    errors: list[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, object] | None = None,
) -> Response:
    identity = request_id(scope)
    problem = Problem(
        type=f"urn:facecraft:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        instance=f"urn:facecraft:request:{identity}",
        code=code,
        request_id=identity,
        hint=hint,
        errors=errors,
    )
    send = dict(headers or {})
    if status == 401:
        send.setdefault("WWW-Authenticate", 'Bearer realm="facecraft"')
    body = problem.model_dump(exclude=None if errors is not None else {"errors"})
    return JSONResponse(body | dict(extra or {}), status, send, MEDIA_TYPE)


async def _from_facecraft(request: Request, error: Exception) -> Response:
    if not isinstance(error, FacecraftError):
        raise error
    return answer(request.scope, error)


async def _from_http(request: Request, error: Exception) -> Response:
    """A 404, 405 or 400 of the framework. Its own texts may repeat what was sent; ours do not."""
    if not isinstance(error, HTTPException):
        raise error
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    hints = {
        404: "See /docs for every endpoint.",
        405: "See /docs for the methods of this endpoint.",
        406: f"Accept application/json, {', '.join(kind.media_type for kind in OutputFormat)}.",
    }
    return _problem(
        request.scope,
        error.status_code,
        code,
        phrase,
        f"{HTTPStatus(error.status_code).description or phrase}.",
        hint=hints.get(error.status_code),
        headers=error.headers,
    )


async def _from_validation(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    fields = [_field(item) for item in error.errors()[:20]]
    names = ", ".join(dict.fromkeys(item.field for item in fields))
    whole = next((item.message for item in fields if item.field == _BODY), None)
    return _problem(
        request.scope,
        STATUS[Kind.INVALID],
        "invalid_request",
        "The request is not valid",
        whole or f"Not valid: {names}.",
        hint="See `errors` for each field, and /docs for what is allowed.",
        errors=fields,
    )


def _field(item: Mapping[str, Any]) -> FieldProblem:
    """Return what is wrong with one field, or with the body as a whole, in plain words."""
    kind, told = str(item["type"]), item.get("ctx", {})
    field = ".".join(str(part) for part in item["loc"] if part not in ("body", "query", "path"))[:80]
    message = str(item["msg"])
    if kind == "value_error":
        message = str(told["error"])
    elif kind == "json_invalid" and isinstance(item["loc"][-1], int):
        field, message = _BODY, f"The body is not JSON (at character {item['loc'][-1]})."
    elif tuple(item["loc"]) == (_BODY,):
        field, message = _BODY, "The body is missing." if kind == "missing" else "The body must be an object."
    elif kind in ("too_short", "too_long"):
        least, most = told.get("min_length"), told.get("max_length")
        message = f"Give at least {_counted(least)}." if kind == "too_short" else f"Give at most {most}."
    return FieldProblem(field=field, message=message, type=kind)


def _counted(least: object) -> str:
    return "one" if least == 1 else str(least)


async def _from_disconnect(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the handler protocol
    return answer(request.scope, CancelledError("The client is gone."))


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` with a problem."""
    app.add_exception_handler(FacecraftError, _from_facecraft)
    app.add_exception_handler(HTTPException, _from_http)
    app.add_exception_handler(RequestValidationError, _from_validation)
    app.add_exception_handler(ClientDisconnect, _from_disconnect)


async def answered(request: Request, do: Callable[[], Awaitable[Response]]) -> Response:
    """Return what ``do`` answers, or what is answered to the error that it raises."""
    try:
        return await do()
    except FacecraftError as error:
        return answer(request.scope, error)
    except HTTPException as error:
        return await _from_http(request, error)
    except RequestValidationError as error:
        return await _from_validation(request, error)
    except Exception:
        log.exception("unexpected error")
        return answer(request.scope, FacecraftError("Something went wrong inside Facecraft."))


class LastResort:
    """The outermost layer: gives every request its id, every reply its headers, and every surprise a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = request_id(scope)
        start = time.perf_counter()
        status = 0
        job_id: str | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status, job_id
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                job_id = headers.get(JOB_ID)
                _add_headers(headers, scope["path"], identity)
            await send(message)

        with telemetry.bind(request_id=identity):
            try:
                await self._app(scope, receive, send_with_headers)
            except FacecraftError as error:
                if status:
                    raise
                await answer(scope, error)(scope, receive, send_with_headers)
            except Exception:
                log.exception("unexpected error")
                if not status:
                    failure = FacecraftError("Something went wrong inside Facecraft.")
                    await answer(scope, failure)(scope, receive, send_with_headers)
            finally:
                level = logging.DEBUG if scope["path"] in _QUIET else logging.INFO
                spent = (time.perf_counter() - start) * 1000
                told = (scope["method"], scope["path"][:200], status, spent)
                log.log(level, "%s %r %s %.0f ms", *told, extra={"job_id": job_id})


def _add_headers(headers: MutableHeaders, path: str, identity: str) -> None:
    headers["X-Request-Id"] = identity
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "no-referrer"
    headers.setdefault("Cache-Control", "no-store")
    headers["Content-Security-Policy"] = _OWN_FILES if path == "/docs" else _NOTHING
