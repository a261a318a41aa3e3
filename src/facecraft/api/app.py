"""The HTTP door: the application, its layers and its routes."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from facecraft.api import problems
from facecraft.api.callers.access import Access, Gate
from facecraft.api.describing import describe_headers
from facecraft.api.jobs import forms as job_forms
from facecraft.api.lifespan import lifespan
from facecraft.api.paths import Paths
from facecraft.api.requests.limits import BodyLimit, body_limit
from facecraft.api.requests.queries import known_query
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
    models,
    presets,
    users,
    webhooks,
)
from facecraft.api.routes import metrics as metrics_routes
from facecraft.api.routes.legacy import faces as legacy_faces
from facecraft.api.routes.legacy import portraits, restoration_app
from facecraft.api.watching.metering import Metered
from facecraft.settings import Settings
from facecraft.studio import Studio
from facecraft.telemetry.metrics import Metrics


def create_app(settings: Settings, studio: Studio | None = None) -> FastAPI:
    """Return the application. It opens a :class:`Studio` when it starts, unless one is given (and then left open)."""
    gate = Gate(settings)
    metrics = Metrics.of_server(settings.workers)

    app = FastAPI(
        title="Facecraft API",
        version=version("facecraft"),
        summary="Portraits from photos, on your own machine.",
        docs_url=None,  # the library's own page loads its scripts from somebody else
        redoc_url=None,
        redirect_slashes=False,  # a redirect would be built from what the client says our name is
        lifespan=partial(lifespan, settings=settings, studio=studio, gate=gate, metrics=metrics),
        middleware=_layers(settings, gate, metrics),
        responses=problems.RESPONSES,
    )
    problems.install(app)
    app.state.settings = settings
    app.state.paths = Paths(app)
    app.state.gate = gate
    app.openapi = partial(_describe, app, app.openapi)  # type: ignore[method-assign]  # as its documentation advises
    # What others watch and what earlier systems asked takes whatever is added to the address.
    for router in (
        docs.router,
        health.router,
        metrics_routes.router,
        portraits.router(settings),
        legacy_faces.router,
        restoration_app.router(),
    ):
        app.include_router(router)
    for router in (
        presets.router(settings),
        faces.router(settings),
        galleries.router(),
        presets.schemas(settings),
        models.router,
        jobs.router(settings),
        job_events.router,
        job_files.router,
        blobs.router(),
        auth.router,
        account.router,
        keys.router,
        users.router,
        webhooks.router(),
    ):
        app.include_router(router, dependencies=[Depends(known_query)])
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
