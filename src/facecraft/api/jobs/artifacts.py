"""What is kept of a job that was done while its caller waited, and under which links it is found again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from fastapi import Request

from facecraft.api.dependencies import Services
from facecraft.api.paths import path_of
from facecraft.errors import FacecraftError, StorageError
from facecraft.imaging.codecs import OutputFormat
from facecraft.jobs import blob_rows
from facecraft.jobs.blob_rows import Blob
from facecraft.jobs.job import Failure, Item, Job, JobState, NewJob
from facecraft.jobs.performing import artifact_name
from facecraft.jobs.repository import Also, all_of, nothing
from facecraft.jobs.tasks import Task

MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "json": "application/json",
}
"""Endings of what can be fetched."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of one picture."""

    name: str | None
    """What the sender called it."""
    files: tuple[Blob, ...] = ()
    """What was made, stored and not yet written down."""
    failure: Failure | None = None


def ending(output: OutputFormat) -> str:
    """Return the ending of files of a format, without the dot."""
    return output.suffix.removeprefix(".")


def result_name(suffix: str, position: int, total: int) -> str:
    """Return the name of the result with this ending of an item (from 0) of a job of so many."""
    return artifact_name(f"result.{suffix}", position, total)


def link(request: Request, job_id: str, suffix: str, item: int = 0) -> str:
    """Return the path under which a result is fetched, on whatever host and below whatever prefix we are served."""
    path = path_of(request, "download", job_id=job_id, format=suffix)
    return f"{path}?item={item}" if item else path


def record(
    services: Services, owner: str | None, job_id: str, task: Task, kept: Sequence[Kept], *, also: Also = nothing
) -> Job:
    """Write down a job that is done, with one item for each of ``kept``, and ``also``: all of it or nothing. Blocks.

    Raises QuotaExceededError, StorageError; the files are forgotten then.
    """
    jobs = services.studio.jobs
    files = [blob for each in kept for blob in each.files]
    items = tuple(
        Item(
            index,
            blob_rows.clean_name(each.name),
            {},
            JobState.FAILED if each.failure else JobState.SUCCEEDED,
            each.failure,
        )
        for index, each in enumerate(kept)
    )
    place = partial(blob_rows.place_within, blobs=files, owner=owner, quota_bytes=services.settings.quota_bytes)
    try:
        return jobs.repository.record(NewJob(owner, task, items), job_id=job_id, also=all_of(place, also))
    except StorageError:
        # The commit may have been done all the same: a sweep finds bytes of which nobody knows.
        raise
    except FacecraftError:
        jobs.blobs.discard(files)
        raise
