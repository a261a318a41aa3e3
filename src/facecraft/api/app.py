"""The HTTP door: the application and the server around it."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from functools import partial
from importlib.metadata import version
from typing import Any

import anyio.to_thread
import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from facecraft import telemetry
from facecraft.accounts.config import NOBODY, AuthMode
from facecraft.api import job_forms, problems
from facecraft.api.access import Access, Gate
from facecraft.api.conditions import Conditions
from facecraft.api.connections import Connection
from facecraft.api.dependencies import Services, Statistics
from facecraft.api.describing import describe_headers
from facecraft.api.engines import start_engine
from facecraft.api.event_feed import EventFeed
from facecraft.api.installs import Installs
from facecraft.api.limits import BodyLimit, body_limit
from facecraft.api.listening import check_address
from facecraft.api.metering import Metered, watch
from facecraft.api.parts import threads_part
from facecraft.api.routes import (
    account,
    auth,
    blobs,
    docs,
    faces,
    galleries,
    health,
    job_events,
    job_files,
    jobs,
    keys,
    legacy,
    legacy_faces,
    models,
    presets,
    restoration_app,
    users,
    webhooks,
)
from facecraft.api.routes import metrics as metrics_routes
from facecraft.api.stopping import when_told_to_stop
from facecraft.api.uploads import clean
from facecraft.api.warmup import Warmup, start
from facecraft.api.workbench import Workbench
from facecraft.inference.devices import cpu_count
from facecraft.jobs.capacity import Capacity
from facecraft.jobs.housekeeping import Chore
from facecraft.jobs.loops import dead
from facecraft.jobs.webhooks.opening import chores_of, start_deliverer
from facecraft.settings import Settings
from facecraft.storage import open_store
from facecraft.studio import Studio
from facecraft.studio.accounts import accounts_for
from facecraft.telemetry.metrics import Metrics
from facecraft.telemetry.serving import is_loopback

log = telemetry.logger("api")

SWEEP_SECONDS = 600.0
GRACE_SECONDS = 20
"""How long a stopping server waits for requests that are under way."""
SWITCH_SECONDS = 0.0005
"""How soon a thread that computes in Python makes way for the event loop; Python's own 5 ms add up over threads."""


def create_app(settings: Settings, studio: Studio | None = None) -> FastAPI:
    """Return the application. It opens a :class:`Studio` when it starts, unless one is given (and then left open)."""
    gate = Gate(settings)
    metrics = Metrics.of_server(settings.workers)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        clean(settings.upload_dir)
        opened = await _opened(settings) if studio is None else studio
        capacity = Capacity(_places(settings, opened))
        bench = Workbench(
            places=capacity.places,
            queue=settings.max_queued_jobs,
            seconds=settings.request_timeout_seconds,
            capacity=capacity,
        )
        warmup = Warmup(opened)
        installs = Installs(opened.store, enabled=settings.auto_install)
        conditions = Conditions(opened, installs)
        parts, fleet = watch(settings, opened, bench, capacity, metrics)
        database = await anyio.to_thread.run_sync(lambda: opened.database)
        accounts = accounts_for(settings, opened)
        gate.open(accounts)
        await gate.is_closed()  # known from the first request on, and to the OpenAPI document
        statistics = Statistics()
        engine = await anyio.to_thread.run_sync(
            start_engine, opened, capacity, statistics, [*chores_of(database), *_chores(opened, gate)]
        )
        deliverer = start_deliverer(database, settings)
        told = () if deliverer is None else (deliverer.loop,)
        parts.add(threads_part(lambda: (*engine.dead(), *dead(told))))
        feed = EventFeed(opened.jobs.repository, limit=settings.event_streams_limit)
        deaf = opened.when_a_job_ends(feed.nudge)
        when_told_to_stop(feed.end)
        app.state.services = Services(
            settings, opened, bench, warmup, installs, conditions, parts, fleet, metrics, engine, feed,
            statistics=statistics,
        )  # fmt: skip
        warming = start(bench, warmup)
        try:
            yield
        finally:
            deaf()
            await feed.close()
            async with anyio.create_task_group() as group:
                # Together: the jobs may hold the places that the last requests wait for.
                group.start_soon(anyio.to_thread.run_sync, engine.close)
                group.start_soon(anyio.to_thread.run_sync, bench.close)
            warming.cancel()
            if deliverer is not None:
                await anyio.to_thread.run_sync(deliverer.close)
            await anyio.to_thread.run_sync(installs.close)
            await anyio.to_thread.run_sync(accounts.close)
            if studio is None:
                opened.close()

    app = FastAPI(
        title="Facecraft API",
        version=version("facecraft"),
        summary="Portraits from photos, on your own machine.",
        docs_url=None,  # the library's own page loads its scripts from somebody else
        redoc_url=None,
        redirect_slashes=False,  # a redirect would be built from what the client says our name is
        lifespan=lifespan,
        middleware=_layers(settings, gate, metrics),
        responses=problems.RESPONSES,
    )
    problems.install(app)
    app.state.settings = settings
    app.state.gate = gate
    app.openapi = partial(_describe, app, app.openapi)  # type: ignore[method-assign]  # as its documentation advises
    for router in (
        docs.router,
        health.router,
        metrics_routes.router,
        legacy.router(settings),
        legacy_faces.router,
        presets.router(settings),
        faces.router(settings),
        galleries.router(),
        presets.schemas(settings),
        models.router,
        jobs.router(settings),
        job_events.router,
        job_files.router,
        blobs.router(),
        restoration_app.router(),
        auth.router,
        account.router,
        keys.router,
        users.router,
        webhooks.router(),
    ):
        app.include_router(router)
    return app


def _describe(app: FastAPI, write: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the OpenAPI document of ``app`` with what every endpoint shares: the shape of errors, and how callers are known."""
    document = deepcopy(write())  # the framework keeps what it wrote
    parts = document.setdefault("components", {})
    parts.setdefault("schemas", {}).update(job_forms.schemas() | problems.schemas())
    gate: Gate = app.state.gate
    gate.describe(document)
    describe_headers(document)
    return document


async def _opened(settings: Settings) -> Studio:
    return await anyio.to_thread.run_sync(Studio.open, settings)


def _layers(settings: Settings, gate: Gate, metrics: Metrics) -> list[Middleware]:
    """Return the layers around the routes, outermost first."""
    layers = [Middleware(Metered, metrics=metrics), Middleware(problems.LastResort)]
    if settings.cors_origins:
        layers.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
                allow_headers=(
                    "X-API-Key",
                    "Authorization",
                    "X-Request-Id",
                    "Idempotency-Key",
                    "Prefer",
                    "Last-Event-ID",
                ),
                allow_credentials="*" not in settings.cors_origins,
                expose_headers=(
                    "X-Request-Id",
                    "X-Facecraft-Job-Id",
                    "X-Facecraft-Faces",
                    "Server-Timing",
                    "Retry-After",
                    "Location",
                    "Idempotent-Replayed",
                    "Preference-Applied",
                    "RateLimit-Limit",
                    "RateLimit-Remaining",
                    "RateLimit-Reset",
                ),
            )
        )
    layers.append(Middleware(BodyLimit, limit=partial(body_limit, settings)))
    layers.append(Middleware(Access, gate=gate))
    return layers


def _places(settings: Settings, studio: Studio) -> int:
    """Return how many pictures are worked on at once.

    On the CPU never more than there are cores: more only wait for each other (the throughput is the same) while they
    hold up the interpreter lock, and with it the answer to a health check.
    """
    if studio.device.device.kind == "cuda":
        return settings.max_concurrent_jobs
    return min(settings.max_concurrent_jobs, cpu_count())


def _chores(studio: Studio, gate: Gate) -> tuple[Chore, ...]:
    """Return what there is to do now and then besides what belongs to jobs."""

    def galleries() -> None:
        if studio.settings.crops_dir.exists():  # made with the first gallery
            studio.galleries.sweep()

    def sessions() -> None:
        if gate.accounts.opened is not None:  # who never looked at an account has none to look after
            gate.accounts.opened.sessions.sweep()

    return Chore("galleries", galleries, SWEEP_SECONDS), Chore("sessions", sessions, SWEEP_SECONDS)


def from_environment() -> FastAPI:
    """Return the application with the settings of the environment: how every one of several processes starts."""
    settings = Settings.load()
    _prepare(settings)
    return create_app(settings)


def _prepare(settings: Settings) -> None:
    """Set up this process: the log, and threads that make way for the event loop."""
    telemetry.configure(level="DEBUG" if settings.debug else settings.log_level, json=settings.log_json)
    for name in ("uvicorn", "uvicorn.error"):
        server = logging.getLogger(name)
        server.handlers[:] = logging.getLogger("facecraft").handlers if name == "uvicorn" else []
        server.propagate = name != "uvicorn"
        server.setLevel(settings.log_level)
    # What it warns of is said to whoever sent the form.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    sys.setswitchinterval(SWITCH_SECONDS)


def serve(settings: Settings) -> None:
    """Listen until the process is told to stop. Several workers find ``settings`` in their environment.

    Raises ConfigurationError (also for an address that cannot be had and for a database that was not migrated),
    ProviderUnavailableError and StorageError before it listens.
    """
    _prepare(settings)
    for line in Settings.misspelled():
        log.warning("%s", line)
    check_address(settings.host, settings.port)
    open_store(settings, settings.output_dir).check()
    clean(settings.upload_dir)
    run = partial(
        uvicorn.run,
        host=settings.host,
        port=settings.port,
        http=Connection,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # who may tell the caller's address is decided by FACECRAFT_TRUSTED_PROXIES
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    with Studio.open(settings) as studio:
        studio.database.check()
        with studio.database.write():
            pass  # a database that can only be read is said now, not with the first job
        _warn(settings, studio)
        if settings.workers == 1:
            run(create_app(settings, studio))
            return
    settings.hand_down()
    run("facecraft.api.app:from_environment", factory=True, workers=settings.workers)


def _warn(settings: Settings, studio: Studio) -> None:
    """Say loudly that everybody may use a server that is not for this machine alone, and that nobody may use one."""
    accounts = accounts_for(settings, studio)
    try:
        known = accounts.exist()
        keyed = settings.api_key is not None
        closed = settings.auth is AuthMode.REQUIRED or (
            settings.auth is AuthMode.AUTO and (keyed or (known and accounts.open().callers.anybody()))
        )
        somebody = keyed or (known and accounts.open().callers.present())
    finally:
        accounts.close()
    if closed and not somebody:
        log.warning(NOBODY)
    elif not closed and not is_loopback(settings.host):
        log.warning(
            "ANYBODY WHO REACHES %s:%s MAY USE THIS SERVER: no API key is set and there are no users. Set "
            "FACECRAFT_API_KEY (openssl rand -hex 32), make a user (facecraft users create), or listen on 127.0.0.1.",
            settings.host,
            settings.port,
        )
