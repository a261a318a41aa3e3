"""Putting jobs into the queue: uploads kept, the job written down, the engine told. Everything here blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeAlias

from starlette.datastructures import UploadFile

from facecraft.api.dependencies import Services
from facecraft.api.requests.uploads import storage_error
from facecraft.errors import FacecraftError, InvalidOptionError, StorageError, UnsupportedFormatError
from facecraft.imaging import codecs
from facecraft.jobs import blob_rows
from facecraft.jobs.blob_rows import Blob
from facecraft.jobs.job import PICTURE, Input, Item, Job, NewJob
from facecraft.jobs.repository import Also, nothing
from facecraft.jobs.tasks import PipelineTask, Task
from facecraft.pipelines.recognition import CompareOptions
from facecraft.studio.performing import SECOND

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


@dataclass(frozen=True, slots=True)
class Queued:
    """A job that was just put into its queue, with its items."""

    job: Job
    items: tuple[Item, ...]
    position: int | None
    """Its place in the queue: 1 is next."""


Keep: TypeAlias = Callable[[Queued], Also]
"""Given a new job: something to write down about it in the transaction that makes it."""


def _nothing(queued: Queued, /) -> Also:  # noqa: ARG001 - the null form of :data:`Keep`
    return nothing


def submit(services: Services, owner: str | None, order: Order, keep: Keep = _nothing) -> Queued:
    """Keep what was sent, put the job into its queue and return it. Nothing can fail once it was written down.

    What ``keep`` returns is written with the job, or not at all. A single file, or earlier result, that is not a picture is
    refused at once; among several it is an item that fails. Raises EmptyInputError, UnsupportedFormatError, InvalidOptionError, BusyError, InputBlobNotFoundError,
    QuotaExceededError, SwapDisabledError, ConsentRequiredError, StorageError. Nothing is kept then; only when a
    connection breaks during the commit nobody knows.
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
        also = partial(
            blob_rows.place_and_hold,
            blobs=intake.staged,
            earlier=intake.earlier,
            owner=owner,
            quota_bytes=services.settings.quota_bytes,
        )
    except FacecraftError:
        jobs.blobs.discard(intake.staged)
        raise
    made: list[Queued] = []

    def added(job: Job, position: int | None) -> Also:
        made.append(Queued(job, items, position))
        return keep(made[-1])

    try:
        jobs.repository.add(NewJob(owner, order.task, items, order.timeout_seconds), also=also, added=added)
    except StorageError:
        # The commit may have been done all the same: a sweep finds bytes of which nobody knows.
        raise
    except FacecraftError:
        jobs.blobs.discard(intake.staged)
        raise
    services.engine.wake(made[-1].job)
    return made[-1]


def receive(
    services: Services, owner: str | None, file: UploadFile, *, life: timedelta | None, keep: Callable[[Blob], Also]
) -> Blob:
    """Keep a picture for ``life`` (None: until somebody deletes it), and with it what ``keep`` returns.

    Its media type is what its bytes say. Raises EmptyInputError, UnsupportedFormatError for what is no picture,
    QuotaExceededError, StorageError.
    """
    jobs = services.studio.jobs
    return jobs.blobs.receive(
        owner,
        file.file,
        name=file.filename,
        media_type=_kind_of(file, strict=True),
        expires_at=None if life is None else jobs.repository.clock() + life,
        quota_bytes=services.settings.quota_bytes,
        added=keep,
    )


def _kind_of(file: UploadFile, *, strict: bool) -> str:
    """Return the media type of ``file``, which is left at its beginning."""
    try:
        file.file.seek(0)
        head = file.file.read(_HEAD)
        file.file.seek(0)
    except OSError as error:
        raise storage_error(error) from error
    return _media_type(head, strict=strict)


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
    """Takes in the pictures of one job. Nobody knows of what was uploaded with it until the job is written down."""

    def __init__(self, services: Services, owner: str | None) -> None:
        self._jobs = services.studio.jobs
        self._owner = owner
        self._found: dict[str, Blob] = {}
        self.staged: list[Blob] = []

    @property
    def earlier(self) -> list[str]:
        """Ids of what was there before."""
        return [blob.id for blob in self._found.values()]

    def take(self, given: Given, *, strict: bool) -> Input:
        if isinstance(given, str):
            earlier = self._find(given)
            if strict and not earlier.media_type.startswith("image/"):
                raise UnsupportedFormatError(f"{given[:120]} is no picture but {earlier.media_type}.")
            return Input(earlier.id, temporary=False)
        media_type = _kind_of(given, strict=strict)
        self.staged.append(self._jobs.blobs.stage(self._owner, given.file, name=given.filename, media_type=media_type))
        return Input(self.staged[-1].id, temporary=True)

    def name(self, given: Given) -> str | None:
        return blob_rows.clean_name(self._find(given).name if isinstance(given, str) else given.filename)

    def _find(self, reference: str) -> Blob:
        if reference not in self._found:
            self._found[reference] = self._look(reference)
        return self._found[reference]

    def _look(self, reference: str) -> Blob:
        if not reference.startswith(OF_A_JOB):
            return self._jobs.blobs.get(self._owner, reference)
        job_id, _, name = reference.removeprefix(OF_A_JOB).partition("/")
        return self._jobs.blobs.artifact(self._jobs.repository.get(self._owner, job_id).id, name)
