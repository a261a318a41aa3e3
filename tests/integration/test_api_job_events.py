"""The events of jobs over real connections: from the first to the last, for one listener and for five hundred."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from facecraft.api.routes import job_events
from services.jobs import held, picture, send, settled, until
from services.people import SECRET, signed_in

STREAMS = 500


@pytest.fixture(scope="module")
def client(open_door: Callable[..., Any]) -> httpx.Client:
    found: httpx.Client = open_door().client
    return found


def story(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    """Return the events of a stream: number, type and data."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def test_who_comes_late_sees_the_whole_story_and_who_comes_again_the_rest(client: httpx.Client) -> None:
    done = settled(client, send(client, ("a.png", picture()), ("b.png", b"no picture")).json())
    url = done["links"]["events"]
    reply = client.get(url)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.text.startswith("retry: ")
    events = story(reply.text)
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    kinds = [kind for _, kind, _ in events]
    assert (kinds[0], kinds[1], kinds[-1], kinds.count("item")) == ("queued", "running", "succeeded", 2)
    last = events[-1][2]
    assert (last["job_id"], last["fraction"], last["succeeded"], last["failed"]) == (done["id"], 1.0, 1, 1)
    assert all(data["at"].endswith("Z") for _, _, data in events)
    assert events[-1][2]["at"] == done["finished_at"]
    fractions = [data["fraction"] for _, _, data in events]
    assert fractions == sorted(fractions)
    assert story(client.get(url, headers={"Last-Event-ID": "2"}).text) == events[2:]
    assert story(client.get(url, params={"last_event_id": 2}).text) == events[2:]
    assert story(client.get(url, headers={"Last-Event-ID": "what?"}).text) == events
    for beyond in (str(len(events)), "999999999"):
        assert client.get(url, headers={"Last-Event-ID": beyond}).status_code == 204


def test_events_come_while_the_job_runs(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(monkeypatch) as watches:
        job = send(client, ("a.png", picture())).json()
        with client.stream("GET", job["links"]["events"]) as stream:
            lines = stream.iter_lines()
            until(lambda: next(lines) == "event: running")
            assert watches is not None
            client.post(job["links"]["cancel"])
            until(lambda: next(lines) == "event: cancelling")
            until(lambda: next(lines) == "event: cancelled")
            assert [line.partition(":")[0] for line in lines] == ["data", ""]  # and then it ends


def test_a_stream_ends_when_its_job_is_deleted(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(monkeypatch) as watches:
        busy = [send(client, ("a.png", picture())).json() for _ in range(3)]
        until(lambda: watches)
        waiting = send(client, ("a.png", picture())).json()
        with client.stream("GET", waiting["links"]["events"]) as stream:
            lines = stream.iter_lines()
            until(lambda: next(lines) == "event: queued")
            assert client.delete(waiting["links"]["self"]).status_code == 200
            assert "event: succeeded" not in list(lines)
    for job in busy:
        settled(client, job)


def test_five_hundred_listen_at_once(open_door: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    door = open_door(max_concurrent_jobs=2)
    with held(monkeypatch) as watches:
        first, second = (send(door.client, ("a.png", picture())).json() for _ in range(2))
        until(lambda: watches)
        feed = door.app.state.services.feed
        done: list[str] = []
        listening = threading.Thread(target=lambda: done.extend(asyncio.run(listen(door.port, [first, second]))))
        listening.start()
        until(lambda: feed.listeners == STREAMS)
        threads = threading.active_count()
        assert threads < 100
        # Nobody is in the way of anybody: the server answers while all of them wait.
        assert door.client.get("/health").status_code == 200
        assert door.client.get(second["links"]["self"]).json()["state"] == "running"
    listening.join(timeout=60)
    assert not listening.is_alive()
    assert len(done) == STREAMS
    stories = [story(text) for text in done]
    for kinds in ([kind for _, kind, _ in events] for events in stories):
        assert (kinds[0], kinds[1], kinds[-1]) == ("queued", "running", "succeeded")
    for events in stories:
        assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    until(lambda: feed.listeners == 0)


def test_there_are_only_so_many_streams_and_fewer_for_one_user(
    open_door: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    door = open_door(max_concurrent_jobs=1, event_streams_limit=3, jwt_secret_key=SECRET)
    with held(monkeypatch) as watches, ExitStack() as open_:
        job = send(door.client, ("a.png", picture())).json()
        until(lambda: watches)
        url = job["links"]["events"]

        def come(client: httpx.Client, url: str) -> httpx.Response:
            return open_.enter_context(client.stream("GET", url))

        assert [come(door.client, url).status_code for _ in range(3)] == [200] * 3
        refused = door.client.get(url)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        assert int(refused.headers["retry-after"]) > 0
        open_.close()
        feed = door.app.state.services.feed
        until(lambda: feed.listeners == 0)
        with signed_in(door, "ann@example.org") as ann:
            until(lambda: ann.client.get("/api/v1/jobs").status_code == 200)
            own = send(ann.client, ("a.png", picture())).json()["links"]["events"]
            with ann.client.stream("GET", own) as first:
                assert first.status_code == 200
                assert ann.client.get(own).status_code == 429
            until(lambda: feed.listeners == 0)


def test_a_stream_ends_soon_after_its_key_was_revoked(
    open_door: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_events, "AGAIN_SECONDS", 0.05)
    door = open_door(max_concurrent_jobs=1, jwt_secret_key=SECRET)
    with held(monkeypatch), signed_in(door, "bo@example.org") as bo:
        made = bo.client.post("/api/v1/account/keys", json={"name": "x", "scopes": ["read"]}).json()
        url = send(bo.client, ("a.png", picture())).json()["links"]["events"]
        with door.client.stream("GET", url, headers={"X-API-Key": made["key"]}) as stream:
            lines = stream.iter_lines()
            until(lambda: next(lines) == "event: running")
            until(lambda: next(lines) == ": nothing new")  # it may be listened to as long as the key is good
            assert bo.client.delete(f"/api/v1/account/keys/{made['id']}").status_code == 204
            assert not [line for line in lines if line.startswith("event")]


async def listen(port: int, jobs: list[dict[str, Any]]) -> list[str]:
    """Open all the streams and return what each of them said, to its end."""

    async def one(number: int) -> str:
        url = jobs[number % len(jobs)]["links"]["events"]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        text = (await reader.read()).decode()
        writer.close()
        head, _, body = text.partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 200"), head
        # Pieces of a chunked body (RFC 9112, section 7.1): their sizes stand on lines of their own.
        return "".join(body.split("\r\n")[1::2])

    return list(await asyncio.gather(*map(one, range(STREAMS))))
