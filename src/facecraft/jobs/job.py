"""What a job is: its states and the ways between them, its items, its events and how it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Self, TypeAlias

from facecraft.errors import FacecraftError
from facecraft.jobs.tasks import Task, UnknownTask

PICTURE = "picture"
"""The role of the picture that an item is about."""


class Everybody(Enum):
    """All owners at once: what the operator at the terminal may ask for, and no caller of the API can name."""

    EVERYBODY = "everybody"


EVERYBODY = Everybody.EVERYBODY
Owner: TypeAlias = str | Everybody | None
"""Whose jobs: a caller's, those of the one owner of a server without accounts (None), or everybody's."""


class JobState(StrEnum):
    """Where a job, or one of its items, stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TRANSITIONS: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
        # Back to the queue: its worker died or stopped, or a service was away.
        JobState.RUNNING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.QUEUED}),
        # Tried again by hand: a job that succeeded when some of its pictures failed.
        JobState.SUCCEEDED: frozenset({JobState.QUEUED}),
        JobState.FAILED: frozenset({JobState.QUEUED}),
        JobState.CANCELLED: frozenset({JobState.QUEUED}),
    }
)
"""To which states a job may go from each."""

ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
"""States in which nothing happens by itself any more."""


def origins(target: JobState) -> tuple[JobState, ...]:
    """Return the states from which a job may go to ``target``."""
    return tuple(state for state, targets in TRANSITIONS.items() if target in targets)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something failed, as everybody may know it."""

    code: str
    message: str
    hint: str | None = None

    @classmethod
    def of(cls, error: FacecraftError) -> Self:
        """Return what may be told of ``error``."""
        return cls(error.code, error.public_message, error.public_hint)


@dataclass(frozen=True, slots=True)
class Delay:
    """Why a job that was begun waits: what it needs is away for the time being."""

    why: Failure
    since: datetime


@dataclass(frozen=True, slots=True)
class Input:
    """One picture that an item needs."""

    blob_id: str
    temporary: bool
    """Whether it was uploaded for this job alone, and is deleted when the job does not need it any more."""


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a job, with those that belong to it."""

    position: int
    """From 0, in the order in which the pictures were sent."""
    name: str | None
    """What the sender called it."""
    inputs: Mapping[str, Input]
    """Its pictures by role."""
    state: JobState = JobState.QUEUED
    failure: Failure | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Work that outlives a request."""

    id: str
    owner: str | None
    name: str
    """What is done, in the words of the API: portrait, cutout, embeddings …"""
    queue: str
    state: JobState
    task: Task | UnknownTask
    timeout_seconds: float | None
    fraction: float
    """How much of it is done, 0..1."""
    stage: str | None
    attempt: int
    """How often it was taken up; 0 while it waits for the first time."""
    failure: Failure | None
    total: int
    """Items."""
    succeeded: int
    failed: int
    event_count: int
    created_at: datetime
    updated_at: datetime
    due_at: datetime
    """Not to be started before."""
    delay: Delay | None
    """Why it waits until then, where something that it needs is away."""
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    cancel_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether nothing happens by itself any more."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that somebody wants."""

    owner: str | None
    task: Task
    items: tuple[Item, ...]
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job."""

    number: int
    """From 1, without gaps."""
    type: str
    """A state the job went to, or ``progress``, ``item`` or ``cancelling``."""
    data: Mapping[str, object]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one worker to work on a job and to write to it, until it is lost."""

    job: Job
    token: str
    until: datetime = field(compare=False)
