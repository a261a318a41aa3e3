"""Is it alive, is it ready, and what is it doing: for orchestrators and for people."""

from __future__ import annotations

import time
from typing import Literal

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from facecraft.api.conditions import Condition
from facecraft.api.dependencies import Services, ServicesOf
from facecraft.api.problems import answer
from facecraft.api.routes.models import ModelRecord, describe
from facecraft.api.warmup import start
from facecraft.catalog.spec import Task
from facecraft.errors import ModelNotInstalledError

router = APIRouter(tags=["service"])


class Health(BaseModel):
    """The process lives and its event loop turns."""

    status: Literal["healthy"] = "healthy"
    models: dict[str, Condition]
    """Every model of the catalogue: absent, installed, loading, ready or failed."""


class Ready(BaseModel):
    """The required models have really run once."""

    ready: bool = True
    models_loaded: bool = True


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
    """Pictures since the process started."""

    total_processed: int
    success_rate: float
    avg_processing_ms: float


class QueueStatus(BaseModel):
    """Requests and worker threads at this moment."""

    places: int
    working: int
    admitted: int
    max_queued: int


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
    catalog: list[ModelRecord]


@router.get("/health")
async def health(services: ServicesOf) -> Health:
    """Answer always, also while every core is busy."""
    return Health(models=await anyio.to_thread.run_sync(services.conditions.now))


@router.get("/ready", response_model=Ready)
async def ready(request: Request, services: ServicesOf) -> Ready | Response:
    """Answer 200 when the required models have really run once, and 503 with the command that helps until then."""
    warmup = services.warmup
    if warmup.ready:
        return Ready()
    if warmup.due:
        request.state.warming = start(services.bench, warmup)
    problem = warmup.problem
    if isinstance(problem, ModelNotInstalledError):
        # An orchestrator sends no picture before this answers 200.
        problem = await anyio.to_thread.run_sync(services.installs.instead, problem)
    return answer(request.scope, problem, {"ready": False, "models_loaded": False}, quiet=True)


@router.get("/status")
async def status(request: Request, services: ServicesOf) -> Status:
    """Tell device, models, queue and statistics."""
    return await anyio.to_thread.run_sync(_status, services, request.app.version)


def _status(services: Services, version: str) -> Status:
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
        catalog=describe(services.studio, services.conditions.now()),
    )


def _part(services: Services, task: Task) -> PartStatus:
    studio = services.studio
    candidates = studio.store.candidates(task)
    states = studio.pool.states()
    for spec in candidates:
        if spec.id in states and states[spec.id].state == "loaded":
            return PartStatus(loaded=True, type=spec.id)
    return PartStatus(loaded=False, type=candidates[0].id if candidates else None)
