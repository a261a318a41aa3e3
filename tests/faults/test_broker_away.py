"""A server whose broker is away takes jobs in as always; they are run, once each, when it is back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.fleet import Fleet
from services.jobs import picture, send, settled
from services.redis_server import run_redis


def test_jobs_that_were_sent_while_redis_was_down_run_once_it_is_back(
    open_door: Callable[..., Any], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'facecraft.db'}"
    with run_redis() as redis, Fleet("celery", url, tmp_path, broker=redis.url) as fleet:
        door = open_door(database_url=url, output_dir=tmp_path / "store", celery_broker_url=redis.url)
        fleet.start()
        first = send(door.client, ("first.png", picture())).json()
        assert settled(door.client, first)["state"] == "succeeded"
        redis.stop()
        replies = [send(door.client, (f"{number}.png", picture())) for number in range(3)]
        assert [reply.status_code for reply in replies] == [202] * 3
        jobs = [reply.json() for reply in replies]
        assert [job["state"] for job in jobs] == ["queued"] * 3
        assert len(fleet.begun()) == 1
        redis.start()
        fleet.wait_until_idle(20)
        for job in jobs:
            done = settled(door.client, job)
            assert (done["state"], done["attempt"]) == ("succeeded", 1)
            assert {each["name"] for each in done["items"][0]["artifacts"]} == {"result.png", "result.json"}
            types = Counter(event.type for event in fleet.jobs.repository.events(job["id"]))
            assert {types[name] for name in ("queued", "running", "item", "succeeded")} == {1}
        assert len(fleet.begun()) == 4
        assert fleet.overlaps() == []
