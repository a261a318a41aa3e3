"""What an application holds while it runs, and how routes get at it."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import Annotated

import anyio
from fastapi import Depends, Request

from facecraft.api.watching.conditions import Conditions
from facecraft.api.watching.endings import Endings
from facecraft.api.watching.event_feed import EventFeed
from facecraft.api.watching.fleet import FleetWatch
from facecraft.api.watching.installs import Installs
from facecraft.api.watching.parts import Parts
from facecraft.api.watching.warmup import Warmup
from facecraft.api.workbench import Workbench
from facecraft.jobs.engine import Engine
from facecraft.jobs.webhooks.sealing import Seal
from facecraft.settings import Settings
from facecraft.studio import Studio
from facecraft.telemetry.metrics import Metrics

RECEIVING = 64
"""Bodies of jobs and uploads that are read at once; more wait where they are, on the line."""
LOOKING = 2
"""Health checks that look at the disk at once."""


class Statistics:
    """How many pictures were worked on, how many became a result, and how long that took."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = 0
        self._successful = 0
        self._milliseconds = 0.0

    def record(self, *, success: bool, milliseconds: float = 0.0) -> None:
        """Count one picture; ``milliseconds`` matter for successful ones."""
        with self._lock:
            self._total += 1
            if success:
                self._successful += 1
                self._milliseconds += milliseconds

    @property
    def total(self) -> int:
        return self._total

    @property
    def success_rate(self) -> float:
        """Between 0 and 1; 0 before the first picture."""
        with self._lock:
            return self._successful / self._total if self._total else 0.0

    @property
    def average_milliseconds(self) -> float:
        """Of successful pictures; 0 before the first."""
        with self._lock:
            return self._milliseconds / self._successful if self._successful else 0.0


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a route may need."""

    settings: Settings
    studio: Studio
    bench: Workbench
    warmup: Warmup
    installs: Installs
    conditions: Conditions
    parts: Parts
    fleet: FleetWatch
    metrics: Metrics
    engine: Engine
    feed: EventFeed
    endings: Endings
    statistics: Statistics
    seal: Seal
    receiving: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(RECEIVING))
    """Taken while a body is read that waits for no place at the bench."""
    looking: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(LOOKING))
    """Threads of the health check alone: it answers while all the others wait for a database that is away."""
    started: float = field(default_factory=time.monotonic)


def services_of(request: Request) -> Services:
    """Return the services of the application that ``request`` came to."""
    services: Services = request.app.state.services
    return services


async def _services(request: Request) -> Services:
    """As :func:`services_of`; a dependency that is no coroutine waits for a thread, and those may all be taken."""
    return services_of(request)


ServicesOf = Annotated[Services, Depends(_services)]
