"""Is it alive, is it ready, and what is it doing: for orchestrators and for people."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Literal

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from facecraft.api.callers.owners import CallerOf
from facecraft.api.dependencies import Services, ServicesOf
from facecraft.api.problems import answer
from facecraft.api.routes.models import ModelRecord, describe
from facecraft.api.watching.conditions import Condition
from facecraft.api.watching.parts import problem_of
from facecraft.api.watching.warmup import start
from facecraft.catalog.spec import Task
from facecraft.errors import FacecraftError, ModelNotInstalledError
from facecraft.jobs.job import JobState
from facecraft.jobs.workers import Worker

router = APIRouter(tags=["service"])


class Health(BaseModel):
    """The process lives and its event loop turns."""

    status: Literal["healthy"] = "healthy"
    models: dict[str, Condition]
    """Every model of the catalogue: absent, installed, loading, ready or failed."""


class Ready(BaseModel):
    """The required models have really run once, and every part that the service needs has answered."""

    ready: bool = True
    models_loaded: bool = True
    parts: dict[str, bool]
    """Whether the models, the database, the store, the threads of the process and, where there is one, the broker are ready."""
    deaf_workers: int = 0
    """Workers that take up nothing although jobs of their queues wait. Requests do well elsewhere no more than here, so
    they are told of and do not count."""


class DeviceStatus(BaseModel):
    """Where networks run."""

    type: Literal["cpu", "cuda"]
    name: str
    reason: str


class PartStatus(BaseModel):
    """One kind of work and the model that "auto" means for it."""

    loaded: bool
    type: str | None


class PartsStatus(BaseModel):
    """The kinds of work a portrait may need."""

    face_detector: PartStatus
    face_landmarks: PartStatus
    face_enhancer: PartStatus
    background_remover: PartStatus


class StatisticsStatus(BaseModel):
    """Pictures that this process worked on since it started, for requests and for jobs."""

    total_processed: int
    success_rate: float
    avg_processing_ms: float


class QueueStatus(BaseModel):
    """Requests and worker threads at this moment."""

    places: int
    working: int
    admitted: int
    max_queued: int


class WorkerStatus(BaseModel):
    """A process that runs jobs."""

    id: str
    host: str
    engine: str
    device: str
    queues: tuple[str, ...]
    busy: int
    places: int
    version: str
    started_at: datetime
    seen_at: datetime
    deaf_since: datetime | None
    """Since when it takes up nothing although it has a free place and jobs of its queues wait; null: it works."""


class WaitingStatus(BaseModel):
    """What waits in one queue."""

    queue: str
    waiting: int
    oldest: datetime | None
    """Since when its oldest job could have been started."""


class FleetStatus(BaseModel):
    """All jobs and workers over the database of this server."""

    database: Literal["sqlite", "postgres"]
    revision: str | None
    """Of the tables; null: there is no database yet, or it cannot be read."""
    store: Literal["folder", "s3"]
    engine: str
    """Who runs jobs: ``embedded`` or ``celery``."""
    reachable: bool
    """Whether the database could be read."""
    jobs: dict[JobState, int]
    queues: list[WaitingStatus]
    workers: list[WorkerStatus]


class Status(BaseModel):
    """What the service is and does."""

    status: Literal["operational"] = "operational"
    version: str
    uptime_seconds: int
    ready: bool
    device: DeviceStatus
    models: PartsStatus
    statistics: StatisticsStatus
    queue: QueueStatus
    parts: dict[str, bool]
    """What was found when each part was last asked whether it is ready."""
    fleet: FleetStatus | None
    """Only for operators, and for anybody where nobody has to say who they are."""
    catalog: list[ModelRecord]


@router.get("/health")
async def health(services: ServicesOf) -> Health:
    """Answer always, also while every core is busy and the database is away."""
    return Health(models=await anyio.to_thread.run_sync(services.conditions.now, limiter=services.looking))


@router.get("/ready", response_model=Ready)
async def ready(request: Request, services: ServicesOf) -> Ready | Response:
    """Answer 200 when the required models have really run once and every part answers; until then 503, naming what is not ready."""
    warmup = services.warmup
    if not warmup.ready and warmup.due:
        request.state.warming = start(services.bench, warmup)
    problems = await services.parts.ask()
    found = {"models": warmup.ready, **{name: problem is None for name, problem in problems.items()}}
    deaf = 0
    if problems.get("database") is None:
        deaf = await anyio.to_thread.run_sync(services.fleet.deaf_workers, limiter=services.looking)
    if all(found.values()):
        return Ready(parts=found, deaf_workers=deaf)
    problem: FacecraftError | None = problem_of(problems)
    if problem is None:
        problem = warmup.problem
        if isinstance(problem, ModelNotInstalledError):
            # An orchestrator sends no picture before this answers 200.
            problem = await anyio.to_thread.run_sync(services.installs.instead, problem)
    more = {"ready": False, "models_loaded": warmup.ready, "parts": found, "deaf_workers": deaf}
    return answer(request.scope, problem, more, quiet=True)


@router.get("/status")
async def status(request: Request, services: ServicesOf, caller: CallerOf) -> Status:
    """Tell device, models, queue, statistics, jobs and workers."""
    return await anyio.to_thread.run_sync(_status, services, request.app.version, caller.sees_everything)


def _status(services: Services, version: str, everything: bool) -> Status:
    resolution = services.studio.device
    counted = services.statistics
    return Status(
        version=version,
        uptime_seconds=int(time.monotonic() - services.started),
        ready=services.warmup.ready,
        device=DeviceStatus(type=resolution.device.kind, name=str(resolution.device), reason=resolution.reason),
        models=PartsStatus(
            face_detector=_part(services, Task.FACE_DETECTION),
            face_landmarks=_part(services, Task.FACE_LANDMARKS),
            face_enhancer=_part(services, Task.FACE_RESTORATION),
            background_remover=_part(services, Task.MATTING),
        ),
        statistics=StatisticsStatus(
            total_processed=counted.total,
            success_rate=round(counted.success_rate, 4),
            avg_processing_ms=round(counted.average_milliseconds, 1),
        ),
        queue=QueueStatus(
            places=services.bench.places,
            working=services.bench.working,
            admitted=services.bench.inside,
            max_queued=services.bench.queue,
        ),
        parts=dict(services.parts.known()),
        fleet=_fleet(services) if everything else None,
        catalog=describe(services.studio, services.conditions.now()),
    )


def _fleet(services: Services) -> FleetStatus:
    settings, known = services.settings, services.fleet.now()
    return FleetStatus(
        database="postgres" if settings.database_file is None else "sqlite",
        revision=None if known is None else known.revision,
        store="folder" if settings.s3_bucket is None else "s3",
        engine=services.engine.name,
        reachable=known is not None,
        jobs={} if known is None else dict(known.jobs),
        queues=[]
        if known is None
        else [WaitingStatus(queue=each.queue, waiting=each.waiting, oldest=each.oldest) for each in known.depths],
        workers=[] if known is None else [_worker(worker) for worker in known.workers],
    )


def _worker(worker: Worker) -> WorkerStatus:
    return WorkerStatus(**{name: getattr(worker, name) for name in WorkerStatus.model_fields})


def _part(services: Services, task: Task) -> PartStatus:
    studio = services.studio
    candidates = studio.store.candidates(task)
    states = studio.pool.states()
    for spec in candidates:
        if spec.id in states and states[spec.id].state == "loaded":
            return PartStatus(loaded=True, type=spec.id)
    return PartStatus(loaded=False, type=candidates[0].id if candidates else None)
