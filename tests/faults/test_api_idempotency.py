"""A database that fails in the very moment when a job was written down: its sender comes again, and makes no second one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection

from services.jobs import JOBS, picture, send, settled


@pytest.fixture
def door(open_door: Callable[..., Any]) -> Any:
    return open_door()


@contextmanager
def broken(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, *, lasting: bool, writing: str = "INSERT INTO jobs"
) -> Iterator[list[bool]]:
    """Lose the connection after the commit that makes a job, once; or lose the whole database from then on."""
    commit, begin = engine.dialect.do_commit, engine.dialect.do_begin
    made: list[bool] = []
    failed: list[bool] = []

    def watch(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith(writing):
            made.append(True)

    def lost(connection: DBAPIConnection) -> None:
        commit(connection)
        if made and not failed:
            failed.append(True)
            if not lasting:
                raise sqlite3.OperationalError("the connection is lost")

    def away(connection: DBAPIConnection) -> None:
        if lasting and failed:
            raise sqlite3.OperationalError("there is no database")
        begin(connection)

    sa.event.listen(engine, "before_cursor_execute", watch)
    with monkeypatch.context() as patched:
        patched.setattr(engine.dialect, "do_commit", lost)
        patched.setattr(engine.dialect, "do_begin", away)
        try:
            yield failed
        finally:
            sa.event.remove(engine, "before_cursor_execute", watch)


def engine_of(door: Any) -> Engine:
    found: Engine = door.app.state.services.studio.database.engine
    return found


def jobs_of(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(JOBS).json()["items"]
    return found


def test_a_commit_whose_answer_is_lost_makes_one_job(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"Idempotency-Key": "commit"}
    with broken(engine_of(door), monkeypatch, lasting=False) as failed:
        first = send(door.client, picture(), headers=headers)
    assert failed
    assert (first.status_code, first.json()["code"]) == (503, "storage_error")
    second = send(door.client, picture(), headers=headers)
    assert (second.status_code, second.headers["idempotent-replayed"]) == (202, "true")
    (job,) = jobs_of(door.client)
    assert second.json()["id"] == job["id"]
    assert settled(door.client, job)["state"] == "succeeded", "its picture was thrown away"


@pytest.mark.parametrize("patient", [False, True])
def test_a_database_that_is_away_after_the_commit_makes_one_job(
    door: Any, monkeypatch: pytest.MonkeyPatch, *, patient: bool
) -> None:
    def ask(seconds: int) -> httpx.Response:
        prefer = f"respond-async, wait={seconds}" if patient else "respond-async"
        reply: httpx.Response = door.client.post(
            "/api/v1/pipelines/run",
            files={"file": picture()},
            data={"pipeline": "{}"},
            headers={"Idempotency-Key": "away", "Prefer": prefer},
        )
        return reply

    with broken(engine_of(door), monkeypatch, lasting=True) as failed:
        first = ask(1)
    assert failed
    assert first.status_code == 202, "it was queued, and has not ended as far as anybody knows"
    second = ask(20)
    assert (second.status_code, second.headers["idempotent-replayed"]) == (200 if patient else 202, "true")
    (job,) = jobs_of(door.client)
    assert second.headers["x-facecraft-job-id"] == first.headers["x-facecraft-job-id"] == job["id"]


def test_a_webhook_whose_commit_got_no_answer_is_made_once_and_tells_its_secret(
    open_door: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    door = open_door(webhook_private_addresses=True)

    def ask() -> httpx.Response:
        reply: httpx.Response = door.client.post(
            "/api/v1/webhooks", json={"url": "http://127.0.0.1:9/"}, headers={"Idempotency-Key": "hook"}
        )
        return reply

    with broken(engine_of(door), monkeypatch, lasting=False, writing="INSERT INTO webhooks") as failed:
        first = ask()
    assert failed
    assert (first.status_code, first.json()["code"]) == (503, "storage_error")
    second = ask()
    assert (second.status_code, second.headers["idempotent-replayed"]) == (201, "true")
    (webhook,) = door.client.get("/api/v1/webhooks").json()["items"]
    assert second.json()["id"] == webhook["id"]
    assert second.json()["secret"].startswith("whsec_")


def test_a_job_whose_retry_got_no_answer_is_tried_again_once(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = door.client.post(JOBS, files={"files": picture()}, data={"preset": "cutout"}).json()
    assert settled(door.client, made)["failure"]["code"] == "model_not_installed"

    def again() -> httpx.Response:
        reply: httpx.Response = door.client.post(made["links"]["retry"], headers={"Idempotency-Key": "again"})
        return reply

    with broken(engine_of(door), monkeypatch, lasting=False, writing="UPDATE jobs SET state") as failed:
        first = again()
    assert failed
    assert (first.status_code, first.json()["code"]) == (503, "storage_error")
    second = again()
    assert (second.status_code, second.headers["idempotent-replayed"]) == (200, "true")
    assert second.json()["id"] == made["id"]
