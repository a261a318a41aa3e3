"""The layer that counts requests, and what else the numbers of an application are made of."""

from __future__ import annotations

import time
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facecraft.api.watching.fleet import FleetWatch
from facecraft.api.watching.parts import Parts, parts_of
from facecraft.api.workbench import Workbench
from facecraft.jobs.capacity import Capacity
from facecraft.jobs.tasks import QUEUES
from facecraft.settings import Settings
from facecraft.storage import open_store
from facecraft.studio import Studio
from facecraft.telemetry.metrics import Exchange, Metrics
from facecraft.telemetry.sources import FleetSource, Gauges, PartsSource, studio_source

_EVENTS = "text/event-stream"


class Metered:
    """The outermost layer: counts every answer by the template of its route, never by the address that was asked."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        metrics, exchange, start = self._metrics, Exchange(), time.perf_counter()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                if Headers(raw=message.get("headers", [])).get("content-type", "").startswith(_EVENTS):
                    metrics.streams(exchange)
            await send(message)

        with metrics.request(exchange):
            try:
                await self._app(scope, receive, noting)
            finally:
                # Whoever routes the request leaves the route in its scope.
                metrics.answered(exchange, scope["method"], getattr(scope.get("route"), "path", None), start)


def watch(
    settings: Settings, studio: Studio, bench: Workbench, capacity: Capacity, metrics: Metrics
) -> tuple[Parts, FleetWatch]:
    """Let ``metrics`` tell of everything around ``studio``; return what readiness and status pages ask, too.

    Raises StorageError for a folder of results that cannot be made.
    """

    def places() -> Mapping[str, tuple[str, float]]:
        return {
            "facecraft_places": (
                "Pictures that this process works on at once, for requests and jobs.",
                capacity.places,
            ),
            "facecraft_places_busy": ("Places that are taken.", capacity.places - capacity.free),
            "facecraft_requests_admitted": ("Requests with pictures that work or wait for a place.", bench.inside),
        }

    store = open_store(settings, settings.output_dir)
    parts = parts_of(settings, studio, store)
    fleet = FleetWatch(studio)
    metrics.add(studio_source(studio.tally, studio.pool.states, gpu=studio.device.device.kind == "cuda"))
    metrics.add(Gauges(places))
    metrics.add(PartsSource(parts.known))
    metrics.add(FleetSource(fleet.now, QUEUES), shared=True)
    return parts, fleet
