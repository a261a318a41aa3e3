"""What is told of jobs: the replies of the endpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Self

from fastapi import Request
from pydantic import BaseModel, Field

from facecraft.api.paths import path_of
from facecraft.jobs.blob_rows import Blob
from facecraft.jobs.job import Failure, Item, Job, JobState


class FailureReport(BaseModel):
    """Why something failed."""

    code: str = Field(description="Stable code for programs, as in the `code` of problems.")
    message: str
    hint: str | None

    @classmethod
    def of(cls, failure: Failure | None) -> Self | None:
        """Describe ``failure``."""
        return None if failure is None else cls(code=failure.code, message=failure.message, hint=failure.hint)


class DelayReport(FailureReport):
    """Why a job waits that was begun: something that it needs is away or full for the time being."""

    since: datetime
    until: datetime = Field(description="When it is tried again.")

    @classmethod
    def of_job(cls, job: Job) -> Self | None:
        """Describe why ``job`` waits; None when it does not, or only for its turn."""
        if job.state is not JobState.QUEUED or job.delay is None:
            return None
        why = job.delay.why
        return cls(code=why.code, message=why.message, hint=why.hint, since=job.delay.since, until=job.due_at)


class ArtifactReport(BaseModel):
    """One finished file of a job."""

    name: str = Field(
        description="`result.png`; in a job of several pictures with the number of the picture, counted from 1: "
        "`0001-result.png` belongs to the item with `position` 0."
    )
    media_type: str
    bytes: int
    url: str

    @classmethod
    def of(cls, blob: Blob, job: Job, request: Request) -> Self:
        """Describe the artifact ``blob`` of ``job``."""
        name = blob.name or blob.id
        url = path_of(request, "job-artifact", job_id=job.id, name=name)
        return cls(name=name, media_type=blob.media_type, bytes=blob.bytes, url=url)


class ItemReport(BaseModel):
    """One picture of a job."""

    position: int = Field(
        description="From 0, in the order in which the pictures were sent: 1 is the second picture, whose files are called "
        "`0002-…` and answered by `/download` with `item=1`."
    )
    name: str | None = Field(description="What the sender called it.")
    state: JobState
    failure: FailureReport | None
    finished_at: datetime | None
    artifacts: list[ArtifactReport]


class JobLinks(BaseModel):
    """Where to go on from a job."""

    self: str
    events: str = Field(description="Server-sent events.")
    artifacts: str = Field(description="Every file in one ZIP.")
    cancel: str
    retry: str


class JobSummary(BaseModel):
    """Work that outlives a request."""

    id: str
    name: str = Field(description="What is done: the word of a preset, detect, embeddings, pipeline …")
    state: JobState
    progress: float = Field(description="How much of it is done, 0 to 1.")
    stage: str | None = Field(description="What is being done at this moment.")
    attempt: int = Field(description="How often it was taken up.")
    cancelling: bool = Field(description="Somebody asked it to stop, and it has not stopped yet.")
    total: int = Field(description="Pictures.")
    succeeded: int
    failed: int
    failure: FailureReport | None
    delay: DelayReport | None = Field(description="Why it waits, where that is for more than its turn.")
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None = Field(description="When it is deleted with its files.")
    links: JobLinks

    @classmethod
    def of(cls, job: Job, request: Request) -> JobSummary:
        """Describe ``job``."""
        links = {name: path_of(request, route, job_id=job.id) for name, route in _LINKS.items()}
        return JobSummary(
            id=job.id,
            name=job.name,
            state=job.state,
            progress=round(job.fraction, 4),
            stage=job.stage,
            attempt=job.attempt,
            cancelling=job.cancel_at is not None and not job.ended,
            total=job.total,
            succeeded=job.succeeded,
            failed=job.failed,
            failure=FailureReport.of(job.failure),
            delay=DelayReport.of_job(job),
            created_at=job.created_at,
            updated_at=job.updated_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            expires_at=job.expires_at,
            links=JobLinks.model_validate(links),
        )


_LINKS = {
    "self": "job",
    "events": "job-events",
    "artifacts": "job-archive",
    "cancel": "cancel-job",
    "retry": "retry-job",
}
"""The names of the routes that a job links to."""


class JobReport(JobSummary):
    """A job with its pictures and files."""

    position: int | None = Field(description="Its place in the queue: 1 is next; null when it does not wait.")
    items: list[ItemReport]


class JobsPage(BaseModel):
    """A page of jobs, the newest first."""

    items: list[JobSummary]
    cursor: str | None = Field(description="What to send for the next page; null when this page is the last.")


def report_of(
    request: Request, job: Job, items: Sequence[Item], artifacts: Iterable[Blob], position: int | None
) -> JobReport:
    """Describe ``job`` with everything that belongs to it."""
    made: dict[int | None, list[ArtifactReport]] = defaultdict(list)
    for blob in artifacts:
        made[blob.position].append(ArtifactReport.of(blob, job, request))
    return JobReport(
        **dict(JobSummary.of(job, request)),
        position=position,
        items=[
            ItemReport(
                position=item.position,
                name=item.name,
                state=item.state,
                failure=FailureReport.of(item.failure),
                finished_at=item.finished_at,
                artifacts=made[item.position],
            )
            for item in items
        ],
    )
