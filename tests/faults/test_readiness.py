"""A server whose database, broker or store is away says so, stays alive, and is ready again by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from facecraft.api.watching import parts
from facecraft.db.clock import DatabaseClock
from facecraft.db.opening import open_database
from facecraft.errors import ConfigurationError, StorageError
from facecraft.jobs import broker
from facecraft.jobs.workers import Worker, Workers
from services.full_disk import no_file_grows
from services.postgres import PostgresServer, run_postgres
from services.redis_server import RedisServer, run_redis

PASSWORD = "hunter2-hunter2"


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """A server that may be stopped without harm to other tests."""
    with run_postgres() as server:
        yield server


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with run_redis() as server:
        yield server


def wait_for(client: httpx.Client, part: str, *, ready: bool) -> dict[str, object]:
    body: dict[str, object] = {}
    for _ in range(300):
        body = client.get("/ready").json()
        parts = body["parts"]
        assert isinstance(parts, dict)
        if parts[part] is ready:
            return body
        time.sleep(0.1)
    raise AssertionError(f"{part} never became {ready}: {body}")


def test_a_stopped_postgres_is_named_and_comes_back(
    open_door: Callable[..., object], own_postgres: PostgresServer
) -> None:
    with own_postgres.database() as url:
        client = open_door(database_url=url.replace("postgres@", f"postgres:{PASSWORD}@"), auto_migrate=True).client
        wait_for(client, "database", ready=True)
        assert client.get("/status").json()["fleet"]["database"] == "postgres"
        own_postgres.stop()
        try:
            body = wait_for(client, "database", ready=False)
            reply = client.get("/ready")
            assert (reply.status_code, body["code"]) == (503, "not_ready")
            assert "database" in str(body["detail"])
            assert body["parts"]["store"] is True  # type: ignore[index]
            assert body["parts"]["threads"] is True  # type: ignore[index]
            assert PASSWORD not in reply.text
            assert str(own_postgres.port) not in reply.text
            assert client.get("/health").status_code == 200
            numbers = client.get("/metrics").text
            assert 'facecraft_part_ready{part="database"} 0.0' in numbers
        finally:
            own_postgres.start()
        wait_for(client, "database", ready=True)
        for _ in range(200):
            if "facecraft_jobs{" in client.get("/metrics").text:
                break
            time.sleep(0.1)
        assert "facecraft_jobs{" in client.get("/metrics").text


def test_a_database_of_another_version_is_not_ready(
    open_door: Callable[..., object], own_postgres: PostgresServer
) -> None:
    import psycopg

    with own_postgres.database() as url:
        client = open_door(database_url=url, auto_migrate=True).client
        wait_for(client, "database", ready=True)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '0001'")
        body = wait_for(client, "database", ready=False)
        assert "facecraft migrate" in str(body["hint"])


def test_a_postgres_without_space_is_not_ready(
    open_door: Callable[..., object], own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr(parts, "WRITING_SECONDS", 0.0)
    with own_postgres.database() as url:
        client = open_door(database_url=url, auto_migrate=True).client
        wait_for(client, "database", ready=True)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
            )
            connection.execute(
                "CREATE TRIGGER full_disk BEFORE INSERT ON gallery_erasures EXECUTE FUNCTION full_disk()"
            )
            body = wait_for(client, "database", ready=False)
            assert "no space left" in str(body["detail"])
            connection.execute("DROP TRIGGER full_disk ON gallery_erasures")
        wait_for(client, "database", ready=True)


def test_a_server_whose_database_cannot_be_written_is_not_ready_until_it_can(
    open_door: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "WRITING_SECONDS", 0.0)
    client = open_door().client
    wait_for(client, "database", ready=True)
    with no_file_grows():
        body = wait_for(client, "database", ready=False)
        assert (body["status"], body["code"]) == (503, "not_ready")
        assert client.get("/health").status_code == 200
        assert client.get("/api/v1/jobs").status_code == 200  # reading goes on
    wait_for(client, "database", ready=True)


def test_a_stopped_redis_is_named_and_comes_back(redis: RedisServer) -> None:
    broker.ping(redis.url)
    redis.stop()
    with pytest.raises(StorageError, match="broker could not be reached"):
        broker.ping(redis.url)
    redis.start()
    broker.ping(redis.url)


def test_the_server_asks_its_broker(open_door: Callable[..., object], redis: RedisServer) -> None:
    client = open_door(celery_broker_url=redis.url).client
    wait_for(client, "broker", ready=True)
    redis.stop()
    body = wait_for(client, "broker", ready=False)
    assert "broker" in str(body["detail"])
    assert str(redis.port) not in str(body)
    redis.start()
    wait_for(client, "broker", ready=True)


def test_an_address_that_cannot_be_read_keeps_its_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        broker.ping(f"nothing://user:{PASSWORD}@host")
    assert PASSWORD not in str((caught.value.message, caught.value.hint, caught.value.detail))


def test_a_broker_that_says_nothing_is_given_up_within_a_second() -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(StorageError):
            broker.ping(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")


def test_a_folder_of_results_that_is_gone_is_named(
    open_door: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "STORE_SECONDS", 0.2)
    folder = tmp_path / "results"
    client = open_door(output_dir=folder).client
    wait_for(client, "store", ready=True)
    folder.rename(tmp_path / "away")
    folder.write_text("a file where the folder was")
    body = wait_for(client, "store", ready=False)
    assert str(tmp_path) not in str(body)
    folder.unlink()
    (tmp_path / "away").rename(folder)
    wait_for(client, "store", ready=True)


def test_a_server_whose_threads_all_wait_for_the_database_is_alive(open_door: Callable[..., object]) -> None:
    door = open_door()
    over = threading.Event()
    store = door.app.state.services.studio.jobs.repository

    def away(*_: object) -> None:
        over.wait(60)
        raise StorageError

    store.get = away
    try:
        with ThreadPoolExecutor(60) as pool:
            waiting = [pool.submit(door.client.get, f"/api/v1/jobs/{UUID(int=number)}") for number in range(60)]
            try:
                for _ in range(20):
                    time.sleep(0.05)
                    assert door.client.get("/health", timeout=10).status_code == 200
                assert not any(each.done() for each in waiting)
            finally:
                over.set()
    finally:
        del store.get


def test_a_worker_that_hears_nothing_is_told_of(open_own_door: Callable[..., Any], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'facecraft.db'}"
    client = open_own_door(database_url=url).client
    with open_database(url, migrate=True) as database:
        workers = Workers(database, clock=DatabaseClock(database))
        worker = workers.seen(Worker.here("celery", ("gpu",), "cpu", 1))
        workers.say(worker.id, deaf=True)
        (known,) = [each for each in client.get("/status").json()["fleet"]["workers"] if each["id"] == worker.id]
        assert known["deaf_since"] is not None
        assert client.get("/ready").json()["deaf_workers"] == 1
        assert "facecraft_workers_deaf 1.0" in client.get("/metrics").text
