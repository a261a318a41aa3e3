"""Deleting jobs and their files: by hand, and once they were downloaded where the operator wants that."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import anyio.to_thread

from facecraft.api.dependencies import Services
from facecraft.api.files.deliveries import After
from facecraft.errors import InputBlobNotFoundError, JobNotFoundError, JobStateError
from facecraft.jobs.blob_rows import Blob
from facecraft.jobs.job import Job
from facecraft.jobs.performing import REPORT


def delete_job(services: Services, owner: str | None, job_id: str) -> str:
    """Delete a job with its files and return its id. Blocks.

    When the store is away the job is gone for everybody all the same, and a sweep deletes the bytes. Raises
    JobNotFoundError, JobStateError, StorageError.
    """
    jobs = services.studio.jobs
    job = jobs.repository.get(owner, job_id)
    jobs.blobs.erase_ids(jobs.repository.delete(owner, job.id))
    return job.id


def once_sent(services: Services, job: Job, blob: Blob | None = None) -> After | None:
    """Return what is to be done once ``blob`` (None: every file) of ``job`` has been sent; None: nothing."""
    if not services.settings.delete_on_download:
        return None

    async def after() -> None:
        with suppress(JobNotFoundError, JobStateError, InputBlobNotFoundError):  # somebody else was faster
            await anyio.to_thread.run_sync(partial(_forget, services, job, blob))

    return after


def _forget(services: Services, job: Job, blob: Blob | None) -> None:
    """Delete ``blob``; with its last file, the report aside, the whole job."""
    blobs = services.studio.jobs.blobs
    left = [each for each in blobs.artifacts(job.id) if blob is None or each.id != blob.id]
    if blob is None or all((each.name or "").endswith(REPORT) for each in left):
        delete_job(services, job.owner, job.id)
    else:
        blobs.delete(job.owner, blob.id)
