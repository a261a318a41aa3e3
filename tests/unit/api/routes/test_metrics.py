"""What Prometheus and people are told by a real server."""

from __future__ import annotations

import json
import logging
import random
import string
import threading
from collections.abc import Callable, Iterator
from urllib.parse import quote

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from facecraft import telemetry
from facecraft.jobs.job import PICTURE, Input, Item, NewJob
from facecraft.jobs.tasks import PipelineTask
from facecraft.pipelines.presets import PortraitOptions

KEY = "0123456789abcdef-metrics"
Samples = dict[str, list[tuple[dict[str, str], float]]]


def scrape(client: httpx.Client, **headers: str) -> Samples:
    reply = client.get("/metrics", headers=headers)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/plain")
    found: Samples = {}
    for family in text_string_to_metric_families(reply.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(found: Samples, name: str, /, **labels: str) -> float:
    return next(number for given, number in found[name] if given == labels)


def test_hostile_addresses_make_no_new_labels(open_door: Callable[..., object]) -> None:
    client = open_door().client
    client.get("/status")
    client.get("/nowhere")
    client.get("/api/v1/galleries/x")
    before = scrape(client)
    draw = random.Random(7)  # noqa: S311 - the same words in every run
    for number in range(200):
        word = quote("".join(draw.choices(string.printable, k=12)), safe="")
        path = (f"/{word}", f"/api/v1/galleries/{word}", f"/api/v1/{word}/{word}?secret={word}")[number % 3]
        client.get(path, headers={"X-Request-Id": word[:20]})
    after = scrape(client)
    new = {
        (name, tuple(sorted(labels.items())))
        for name, samples in after.items()
        for labels, _ in samples
        if labels not in [known for known, _ in before.get(name, [])]
    }
    # The first scrape was not counted when it was answered; nothing else is new.
    assert {dict(labels).get("route") for name, labels in new if name.startswith("facecraft_http")} <= {"/metrics"}
    total = sum(number for _, number in after["facecraft_http_requests_total"])
    assert total == sum(number for _, number in before["facecraft_http_requests_total"]) + 201


def test_a_key_opens_the_numbers(open_door: Callable[..., object]) -> None:
    client = open_door(api_key=KEY).client
    assert client.get("/metrics").status_code == 401
    found = scrape(client, Authorization=f"Bearer {KEY}")
    labels = {"method": "GET", "route": "unmatched", "status": "401"}
    assert value(found, "facecraft_http_requests_total", **labels) == 1


def test_a_user_sees_neither_the_numbers_nor_the_fleet(open_door: Callable[..., object]) -> None:
    door = open_door(api_key=KEY, jwt_secret_key="a secret of forty characters for a test!")
    accounts = door.app.state.gate.accounts.open()
    accounts.users.create("one@example.org", "a long password")
    signed = {"email": "one@example.org", "password": "a long password"}
    reply = door.client.post("/api/v1/auth/login", json=signed)
    assert reply.status_code == 200, reply.text
    token = reply.json()["token"]
    own = {"Authorization": f"Bearer {token}"}
    assert door.client.get("/metrics", headers=own).status_code == 403
    assert door.client.get("/status", headers=own).json()["fleet"] is None
    assert door.client.get("/status", headers={"X-API-Key": KEY}).json()["fleet"]["engine"] == "embedded"


def test_jobs_of_the_database_are_counted(open_door: Callable[..., object]) -> None:
    door = open_door()
    jobs = door.app.state.services.studio.jobs
    task = PipelineTask(name="portrait", pipeline=PortraitOptions().pipeline())
    blob = jobs.blobs.receive(None, b"no picture", name="a.jpg", media_type="image/jpeg", expires_at=None)
    made = jobs.repository.record(
        NewJob(None, task, (Item(0, "a.jpg", {PICTURE: Input(blob.id, temporary=False)}),)), job_id=blob.id
    )
    found = scrape(door.client)
    assert value(found, "facecraft_jobs", state="succeeded") == 1
    assert value(found, "facecraft_queue_depth", queue="gpu") == 0
    fleet = door.client.get("/status").json()["fleet"]
    assert (fleet["database"], fleet["store"], fleet["reachable"]) == ("sqlite", "folder", True)
    assert fleet["jobs"]["succeeded"] == 1
    assert fleet["revision"]
    assert made.ended


def test_open_streams_of_events_are_counted(open_door: Callable[..., object]) -> None:
    from starlette.responses import StreamingResponse

    door, over = open_door(), threading.Event()

    @door.app.get("/stream")
    def stream() -> StreamingResponse:
        def lines() -> Iterator[str]:
            yield "data: 1\n\n"
            over.wait(20)

        return StreamingResponse(lines(), media_type="text/event-stream")

    with door.client.stream("GET", "/stream") as reply:
        assert next(reply.iter_text()) == "data: 1\n\n"
        with httpx.Client(base_url=door.client.base_url) as other:
            assert value(scrape(other), "facecraft_event_streams_open") == 1
        over.set()
    for _ in range(100):
        found = scrape(door.client)
        if value(found, "facecraft_event_streams_open") == 0:
            break
    assert value(found, "facecraft_event_streams_open") == 0
    assert not [labels for labels, _ in found["facecraft_http_request_seconds_count"] if labels["route"] == "/stream"]


def test_many_may_ask_at_once(open_door: Callable[..., object]) -> None:
    door = open_door()
    replies: list[int] = []
    threads = [
        threading.Thread(target=lambda: replies.append(httpx.get(f"{door.client.base_url}/metrics").status_code))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert replies == [200] * 20


def test_the_line_of_a_request_names_its_job_and_no_query(
    open_door: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger("facecraft")
    before = (root.handlers[:], root.level, root.propagate)
    door = open_door()

    @door.app.get("/made")
    async def made() -> object:
        from starlette.responses import Response

        return Response(headers={"X-Facecraft-Job-Id": "j-1"})

    telemetry.configure(level="INFO", json=True)
    try:
        door.client.get("/made?word=secret-word", headers={"X-Request-Id": "r-1"})
        door.client.get("/metrics")
        err = capsys.readouterr().err
    finally:
        root.handlers[:], root.propagate = before[0], before[2]
        root.setLevel(before[1])
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if "/made" in line["event"]]
    assert (line["request_id"], line["job_id"]) == ("r-1", "j-1")
    assert "secret-word" not in err
    assert not [line for line in lines if "/metrics" in line["event"]]
