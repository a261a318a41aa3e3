"""What an application opens when it starts, and closes again when it stops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI

from facecraft.api.callers.access import Gate
from facecraft.api.dependencies import Services, Statistics
from facecraft.api.jobs.engines import start_engine
from facecraft.api.requests.uploads import clean
from facecraft.api.stopping import when_told_to_stop
from facecraft.api.watching.conditions import Conditions
from facecraft.api.watching.endings import POLL_SECONDS, SELDOM_SECONDS, Endings
from facecraft.api.watching.event_feed import EventFeed
from facecraft.api.watching.installs import Installs
from facecraft.api.watching.metering import watch
from facecraft.api.watching.parts import threads_part
from facecraft.api.watching.warmup import Warmup, start
from facecraft.api.workbench import Workbench
from facecraft.inference.devices import cpu_count
from facecraft.jobs.capacity import Capacity
from facecraft.jobs.housekeeping import Chore
from facecraft.jobs.loops import dead
from facecraft.jobs.webhooks.opening import chores_of, start_deliverer
from facecraft.jobs.webhooks.sealing import Seal
from facecraft.settings import Settings
from facecraft.studio import Studio
from facecraft.studio.accounts import accounts_for
from facecraft.telemetry.metrics import Metrics

SWEEP_SECONDS = 600.0


@asynccontextmanager
async def lifespan(
    app: FastAPI, *, settings: Settings, studio: Studio | None, gate: Gate, metrics: Metrics
) -> AsyncIterator[None]:
    """Put the :class:`Services` of ``app`` in place while it runs; a ``studio`` that is given is left open."""
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
    statistics, seal = Statistics(), Seal(accounts.secret)
    clock = opened.jobs.repository.clock
    seconds = SELDOM_SECONDS if settings.celery_broker_url is None else POLL_SECONDS
    endings = Endings(opened.jobs.repository, seconds=seconds)
    chores = [*chores_of(database, seal, clock=clock), *_chores(opened, gate)]
    engine = await anyio.to_thread.run_sync(start_engine, opened, capacity, statistics, endings, chores)
    deliverer = start_deliverer(database, seal, settings, clock=clock)
    told = () if deliverer is None else (deliverer.loop,)
    parts.add(threads_part(lambda: (*engine.dead(), *dead(told))))
    feed = EventFeed(opened.jobs.repository, limit=settings.event_streams_limit)
    deaf = [opened.when_a_job_ends(feed.nudge), opened.when_a_job_ends(endings.say)]
    when_told_to_stop(feed.end, endings.end)
    app.state.services = Services(
        settings, opened, bench, warmup, installs, conditions, parts, fleet, metrics, engine, feed, endings,
        statistics=statistics, seal=seal,
    )  # fmt: skip
    warming = start(bench, warmup)
    try:
        yield
    finally:
        for unsubscribe in deaf:
            unsubscribe()
        await feed.close()
        await endings.close()
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


async def _opened(settings: Settings) -> Studio:
    return await anyio.to_thread.run_sync(Studio.open, settings)


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
