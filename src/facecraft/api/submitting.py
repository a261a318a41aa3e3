"""Putting jobs into the queue: uploads kept, the job written down, the engine told. Everything here blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeAlias

from starlette.datastructures import UploadFile

from facecraft.api.dependencies import Services
from facecraft.api.uploads import storage_error
from facecraft.errors import FacecraftError, InvalidOptionError, UnsupportedFormatError
from facecraft.imaging import codecs
from facecraft.jobs import blob_rows
from facecraft.jobs.blob_rows import Blob
from facecraft.jobs.job import PICTURE, Input, Item, Job, NewJob
from facecraft.jobs.tasks import PipelineTask, Task
from facecraft.pipelines.recognition import CompareOptions
from facecraft.studio.performing import SECOND

UNCLAIMED = timedelta(hours=1)
"""An upload whose job was never written down is deleted after this."""
OF_A_JOB = "job:"
"""How a result of an earlier job is named: ``job:<id>/<name>``."""
UNKNOWN = "application/octet-stream"
_HEAD = 64

Given: TypeAlias = UploadFile | str
"""A picture as it is sent: a file, or the id of an earlier one."""


@dataclass(frozen=True, slots=True)
class Order:
    """A job that somebody sends."""

    task: Task
    pictures: Sequence[Given]
    companions: Mapping[str, Given] = field(default_factory=dict)
    """Pictures that go with every one of ``pictures``, by role."""
    timeout_seconds: float | None = None


def submit(services: Services, owner: str | None, order: Order) -> Job:
    """Keep what was sent, put the job into its queue and return it.

    A single file that is not a picture is refused at once; among several it is an item that fails. Raises
    EmptyInputError, UnsupportedFormatError, InvalidOptionError, TooManyFilesError, BusyError,
    InputBlobNotFoundError, QuotaExceededError, SwapDisabledError, ConsentRequiredError, StorageError. Nothing is
    kept then.
    """
    _check(services, order)
    jobs = services.studio.jobs
    intake = _Intake(services, owner)
    try:
        with_all = {role: intake.take(given, strict=True) for role, given in order.companions.items()}
        several = len(order.pictures) > 1
        items = tuple(
            Item(index, intake.name(given), {PICTURE: intake.take(given, strict=not several), **with_all})
            for index, given in enumerate(order.pictures)
        )
        used = [given.blob_id for item in items for given in item.inputs.values()]
        hold = partial(blob_rows.hold, owner=owner, ids=used)
        job = jobs.repository.add(NewJob(owner, order.task, items, order.timeout_seconds), also=hold)
    except FacecraftError:
        intake.forget()
        raise
    services.engine.wake(job)
    return job


def receive(services: Services, owner: str | None, file: UploadFile, *, life: timedelta | None, strict: bool) -> Blob:
    """Keep an upload for ``life`` (None: until somebody deletes it). Its media type is what its bytes say.

    Raises EmptyInputError; with ``strict`` UnsupportedFormatError for what is no picture; QuotaExceededError,
    StorageError.
    """
    try:
        file.file.seek(0)
        head = file.file.read(_HEAD)
        file.file.seek(0)
    except OSError as error:
        raise storage_error(error) from error
    jobs = services.studio.jobs
    return jobs.blobs.receive(
        owner,
        file.file,
        name=file.filename,
        media_type=_media_type(head, strict=strict),
        expires_at=None if life is None else jobs.repository.clock() + life,
        quota_bytes=services.settings.quota_bytes,
    )


def _media_type(head: bytes, *, strict: bool) -> str:
    if not head and not strict:
        return UNKNOWN
    try:
        kind = codecs.sniff(head)
    except UnsupportedFormatError:
        if strict:
            raise
        return UNKNOWN
    return f"image/{'heic' if kind == 'heif' else kind}"


def _check(services: Services, order: Order) -> None:
    """Refuse what cannot end well. Raises InvalidOptionError and what the studio raises of its pipeline."""
    if not order.pictures:
        raise InvalidOptionError("The job has no picture.", hint="Send `files`, or ids of earlier ones in `blobs`.")
    if isinstance(order.task, PipelineTask):
        services.studio.permit(order.task.pipeline)
    elif isinstance(order.task.options, CompareOptions) and SECOND not in order.companions:
        raise InvalidOptionError("A comparison needs a second picture.", hint="Send it as `second`.")


class _Intake:
    """Takes in the pictures of one job; those that were uploaded with it can be forgotten again."""

    def __init__(self, services: Services, owner: str | None) -> None:
        self._services = services
        self._owner = owner
        self._earlier: dict[str, Blob] = {}
        self._received: list[Blob] = []

    def take(self, given: Given, *, strict: bool) -> Input:
        if isinstance(given, str):
            return Input(self._found(given).id, temporary=False)
        blob = receive(self._services, self._owner, given, life=UNCLAIMED, strict=strict)
        self._received.append(blob)
        return Input(blob.id, temporary=True)

    def name(self, given: Given) -> str | None:
        return blob_rows.clean_name(self._found(given).name if isinstance(given, str) else given.filename)

    def _found(self, reference: str) -> Blob:
        if reference not in self._earlier:
            self._earlier[reference] = self._find(reference)
        return self._earlier[reference]

    def _find(self, reference: str) -> Blob:
        jobs = self._services.studio.jobs
        if not reference.startswith(OF_A_JOB):
            return jobs.blobs.get(self._owner, reference)
        job_id, _, name = reference.removeprefix(OF_A_JOB).partition("/")
        return jobs.blobs.artifact(jobs.repository.get(self._owner, job_id).id, name)

    def forget(self) -> None:
        for blob in self._received:
            with suppress(FacecraftError):  # it expires soon anyway
                self._services.studio.jobs.blobs.delete(self._owner, blob.id)
