"""Workers that are killed, and services that restart, in the middle: every job ends exactly once."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.fleet import Fleet
from services.postgres import PostgresServer
from services.redis_server import run_redis

JOBS = 60
KILLS = 3


@pytest.mark.parametrize("parts", ["embedded-sqlite", "celery-sqlite", "celery-postgres"])
def test_kills_lose_nothing_and_double_nothing(parts: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    engine, _, database = parts.partition("-")
    with ExitStack() as stack:
        broker = stack.enter_context(run_redis()).url if engine == "celery" else None
        url = f"sqlite:///{tmp_path / 'facecraft.db'}"
        if database == "postgres":
            url = stack.enter_context(request.getfixturevalue("postgres").database())
        fleet = stack.enter_context(Fleet(engine, url, tmp_path, broker=broker, seconds=0.15))
        processes = [fleet.start(), fleet.start()]
        jobs = [fleet.submit(b"picture") for _ in range(JOBS)]
        for _ in range(KILLS):
            began = len(fleet.begun())
            fleet.wait_for_marks(began + 6)
            fleet.kill(processes.pop(0))
            processes.append(fleet.start())
        fleet.wait_until_idle(60)
        assert fleet.problems(jobs) == []
        cut = fleet.cut()
        assert cut, "nobody was killed in the middle of an item"
        names = Counter(line.split()[1] for line in fleet.begun())
        assert [name for name in cut if names[name] <= cut.count(name)] == [], "not begun again"


@pytest.mark.slow
def test_restarts_of_redis_and_postgres_are_survived(postgres: PostgresServer, tmp_path: Path) -> None:
    with (
        run_redis() as redis,
        postgres.database() as url,
        Fleet("celery", url, tmp_path, broker=redis.url, seconds=0.15, lease=6.0) as fleet,
    ):
        fleet.start()
        jobs = [fleet.submit(b"picture") for _ in range(20)]
        fleet.wait_for_marks(3)
        redis.stop()  # and with it every message
        redis.start()
        fleet.wait_for_marks(len(fleet.begun()) + 3)
        postgres.stop()
        time.sleep(1.0)
        postgres.start()
        fleet.wait_until_idle(60)
        assert fleet.problems(jobs) == []
