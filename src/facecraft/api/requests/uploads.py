"""Pictures on their way in: multipart bodies read under limits, into memory first and the upload folder beyond."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import Response
from starlette.types import Receive

from facecraft.api.dependencies import services_of
from facecraft.api.requests.limits import JOBS, MIB, MOST_COMPANIONS, pictures_of
from facecraft.api.requests.preferences import preference_of
from facecraft.api.workbench import Ticket
from facecraft.errors import (
    CancelledError,
    DeadlineError,
    EmptyInputError,
    FieldTooLargeError,
    FormExpectedError,
    MalformedFormError,
    StorageAccessError,
    StorageError,
    StorageFullError,
    TooManyFieldsError,
    TooManyFilesError,
    UploadTooLargeError,
)
from facecraft.settings import Settings

PREFIX = "facecraft-upload-"
MEMORY_BYTES = MIB
"""Uploads up to this size stay in memory."""
MAX_FIELDS = 200
_ESCAPED = re.compile("%(22|0[DA])", re.IGNORECASE)
MAX_FIELD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What one multipart body may hold."""

    pictures: int
    """What a caller is told; a job may have some further ones that go with them."""
    files: int
    file_bytes: int
    folder: Path
    batch: bool

    @classmethod
    def of(cls, settings: Settings, path: str, *, batch: bool) -> UploadLimits:
        """Return the limits of a request to ``path``: of one picture and those that go with it, or of a batch."""
        pictures = settings.batch_max_files if batch else pictures_of(path)
        files = pictures + (MOST_COMPANIONS if batch and path == JOBS else 0)
        return cls(pictures, files, settings.max_upload_size_mb * MIB, settings.upload_dir, batch)

    def too_many(self) -> TooManyFilesError:
        """Return the refusal of a body with more files."""
        hint = None if self.batch else "Send one request for each picture, or many pictures as a job."
        return TooManyFilesError(f"A request to this endpoint may hold at most {self.pictures} pictures.", hint=hint)


class _Parser(MultiPartParser):
    """Starlette's parser with a limit for each file and a folder of our own for what does not stay in memory."""

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], limits: UploadLimits) -> None:
        super().__init__(
            headers, stream, max_files=limits.files + 1, max_fields=MAX_FIELDS + 1, max_part_size=2 * MAX_FIELD_BYTES
        )
        self._limits = limits
        self._part_bytes = 0

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        self._part_bytes = 0
        upload = self._current_part.file
        if upload is None:
            if self._current_fields > MAX_FIELDS:
                raise TooManyFieldsError(f"A form may have at most {MAX_FIELDS} fields.")
            return
        upload.filename = _as_named(upload.filename)
        if self._current_files > self._limits.files:
            raise self._limits.too_many()
        spool = SpooledTemporaryFile(  # noqa: SIM115 - closed with the form
            max_size=MEMORY_BYTES, dir=str(self._limits.folder), prefix=PREFIX
        )
        upload.file.close()
        self._files_to_close_on_error.append(spool)
        upload.file = spool  # type: ignore[assignment]  # as Starlette does
        upload._max_mem_size = MEMORY_BYTES  # noqa: SLF001 - decides whether writing goes to a thread

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._part_bytes += end - start
        if self._current_part.file is None:
            if self._part_bytes > MAX_FIELD_BYTES:
                raise FieldTooLargeError(f"A field may hold at most {MAX_FIELD_BYTES // 1024} KiB of text.")
        elif self._part_bytes > self._limits.file_bytes:
            raise UploadTooLargeError(f"A file may have at most {self._limits.file_bytes // MIB} MiB.")
        super().on_part_data(data, start, end)


def _as_named(filename: str | None) -> str | None:
    """Return the name of a file as it was before a browser escaped what ends a header.

    WHATWG HTML, "multipart/form-data encoding algorithm": line ends and quotation marks are percent-encoded, and nothing
    else is, the percent sign itself neither.
    """
    return None if filename is None else _ESCAPED.sub(lambda found: chr(int(found[1], 16)), filename)


async def read_form(request: Request, limits: UploadLimits) -> FormData:
    """Read the multipart body of ``request``.

    Raises FormExpectedError for another content type, UploadTooLargeError, TooManyFilesError, FieldTooLargeError,
    TooManyFieldsError, StorageError when the upload folder cannot take it, and MalformedFormError. Nothing is left behind
    then.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise FormExpectedError
    try:
        async with aclosing(request.stream()) as stream:
            return await _Parser(request.headers, stream, limits).parse()
    except MultiPartException as error:
        reason = str(error.__cause__ or error.message).rstrip(".")
        raise MalformedFormError(f"The form cannot be read: {reason}.") from error
    except OSError as error:
        raise storage_error(error) from error


def one_name_each(form: FormData) -> FormData:
    """Return ``form``. Raises RequestValidationError for two files of one name: which one was meant is not guessed."""
    names = Counter(name for name, value in form.multi_items() if isinstance(value, UploadFile))
    several = [name for name, count in names.items() if count > 1]
    if several:
        raise RequestValidationError(
            [{"type": "too_many_files", "loc": ("body", name), "msg": "Send this file once."} for name in several]
        )
    return form


def without_brackets(form: FormData) -> FormData:
    """Return ``form`` with ``files[]``, as browsers and PHP call a list, named ``files``."""
    return FormData([(name.removesuffix("[]"), value) for name, value in form.multi_items()])


def storage_error(error: OSError) -> StorageError:
    """Return what ``error`` means for the upload folder."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFullError(detail=str(error))
    return StorageAccessError("The upload folder cannot be written.", detail=str(error))


def clean(folder: Path) -> None:
    """Make the upload folder and delete what an earlier process left there. Raises StorageAccessError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        for path in folder.glob(f"{PREFIX}*"):
            with suppress(FileNotFoundError):
                path.unlink()
    except OSError as error:
        raise storage_error(error) from error


def read_upload(upload: UploadFile) -> bytes:
    """Return the bytes of ``upload``; its name and content type are ignored. Blocks: call it in a worker.

    Raises EmptyInputError, and StorageError when it cannot be read.
    """
    try:
        upload.file.seek(0)
        data = upload.file.read()
    except OSError as error:
        raise storage_error(error) from error
    if not data:
        raise EmptyInputError
    return data


class _ParsedRequest(Request):
    """A request whose form has been read, under our limits."""

    def __init__(self, request: Request, form: FormData) -> None:
        super().__init__(request.scope, request.receive)
        self._parsed = form

    async def form(self, **limits: object) -> FormData:  # type: ignore[override]  # noqa: ARG002
        return self._parsed


class UploadRoute(APIRoute):
    """A route that takes pictures: it admits the request, reads its form and listens for a client that leaves."""

    batch = False
    """Whether it takes many pictures."""
    defers = False
    """Whether it makes a job of its request when that asks for one; a job needs no place at the bench."""
    queues = False
    """Whether it keeps what it is sent, and works on nothing itself."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the framework's own handling of a request with a form."""
        handle = super().get_route_handler()
        batch = self.batch

        async def guarded(request: Request) -> Response:
            services = services_of(request)
            limits = UploadLimits.of(services.settings, request.scope["path"], batch=batch)
            aside = self.queues or (self.defers and preference_of(request.headers).asynchronous)
            with _aside(services.bench.seconds) if aside else services.bench.admit() as ticket:
                request.state.ticket = ticket
                try:
                    async with asyncio.timeout_at(ticket.deadline), services.receiving if aside else nullcontext():
                        form = await read_form(request, limits)
                except TimeoutError as error:
                    raise DeadlineError("The upload took too long.") from error
                form = without_brackets(form) if batch else form
                watcher = asyncio.create_task(_watch(request.receive, ticket))
                try:
                    return await handle(_ParsedRequest(request, form if batch else one_name_each(form)))
                finally:
                    watcher.cancel()
                    await form.close()

        return guarded


class BatchRoute(UploadRoute):
    """An :class:`UploadRoute` for many pictures."""

    batch = True


class DeferringRoute(UploadRoute):
    """An :class:`UploadRoute` that honours ``Prefer: respond-async``."""

    defers = True


class QueueingRoute(UploadRoute):
    """An :class:`UploadRoute` whose picture is kept for later."""

    queues = True


class JobsRoute(BatchRoute, QueueingRoute):
    """A :class:`QueueingRoute` for many pictures."""


@contextmanager
def _aside(seconds: float) -> Iterator[Ticket]:
    """Give a ticket to a request that will not be worked on here."""
    yield Ticket(asyncio.get_running_loop().time() + seconds)


async def _watch(receive: Receive, ticket: Ticket) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    ticket.stop(CancelledError("The client is gone."))
