"""The Idempotency-Key header in front of a route that counts what it does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import anyio.to_thread
import httpx
import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, File, Form, Request, UploadFile
from starlette.responses import JSONResponse, Response, StreamingResponse

from facecraft.api import problems
from facecraft.api.requests.idempotency import HEADER, MAX_REPLY, REPLAYED, Idempotent
from facecraft.db.database import Database
from facecraft.errors import BusyError, FacecraftError, InvalidOptionError, StorageError, StorageFullError
from facecraft.jobs.idempotency import IdempotencyKeys


class Counter:
    """What was done, and what is to go wrong."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fault: Exception | None = None
        self.enter = threading.Event()
        self.leave = threading.Event()
        self.leave.set()


@pytest.fixture
def counter() -> Counter:
    return Counter()


def jobs(counter: Counter, idempotent: Callable[[Request], Idempotent]) -> APIRouter:
    """Routes that make something, as those of jobs do."""
    routes = APIRouter()

    def do(what: str) -> Response:
        counter.enter.set()
        counter.leave.wait(10)
        counter.done.append(what)
        if counter.fault is not None:
            raise counter.fault
        return JSONResponse({"number": len(counter.done)}, 202, {"Location": f"/jobs/{len(counter.done)}"})

    @routes.post("/jobs")
    async def make(
        request: Request, files: Annotated[list[UploadFile], File()], size: Annotated[int, Form()], note: str = Form("")
    ) -> Response:
        async def work() -> Response:
            sent = b"".join([await file.read() for file in files])
            assert sent, "a file stands at its end"
            return await anyio.to_thread.run_sync(do, f"{size}{note}")

        return await idempotent(request)(work)

    @routes.post("/json")
    async def make_json(request: Request) -> Response:
        async def work() -> Response:
            return do((await request.body()).decode())

        return await idempotent(request)(work)

    return routes


def odd(counter: Counter, idempotent: Callable[[Request], Idempotent]) -> APIRouter:
    """Routes whose replies are out of the ordinary."""
    routes = APIRouter()

    @routes.post("/large")
    async def make_large(request: Request) -> Response:
        async def work() -> Response:
            counter.done.append("large")
            return Response(b"x" * (MAX_REPLY + 1), headers={"Location": "/jobs/1"})

        return await idempotent(request)(work)

    @routes.post("/streamed")
    async def make_streamed(request: Request) -> Response:
        async def work() -> Response:
            counter.done.append("streamed")
            return StreamingResponse(iter([b"x"]), headers={"Location": "/jobs/1"})

        return await idempotent(request)(work)

    @routes.post("/refused")
    async def refuse(request: Request) -> Response:
        async def work() -> Response:
            counter.done.append("refused")
            return JSONResponse({"code": "no_face_detected"}, 422)

        return await idempotent(request)(work)

    return routes


@pytest.fixture
def client(counter: Counter, tmp_path: Path) -> Iterator[httpx.Client]:
    with Database.open(f"sqlite:///{tmp_path / 'keys.db'}") as database:
        database.migrate()

        def idempotent(request: Request) -> Idempotent:
            return Idempotent(request, request.headers.get("x-owner"), lambda: IdempotencyKeys(database))

        app = FastAPI()
        problems.install(app)
        app.include_router(jobs(counter, idempotent))
        app.include_router(odd(counter, idempotent))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            port = server.servers[0].sockets[0].getsockname()[1]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as opened:
                yield opened
        finally:
            server.should_exit = True
            thread.join(timeout=20)


def post(
    client: httpx.Client, key: str | None = "k", *, data: bytes = b"pixels", name: str = "me.png", **fields: str
) -> httpx.Response:
    headers = {} if key is None else {HEADER: key}
    return client.post("/jobs", files=[("files", (name, data))], data={"size": "1", **fields}, headers=headers)


def test_the_same_request_is_done_once_and_answered_alike(client: httpx.Client, counter: Counter) -> None:
    first, second = post(client), post(client)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json() == {"number": 1}
    assert first.headers["location"] == second.headers["location"] == "/jobs/1"
    assert first.headers["content-type"] == second.headers["content-type"]
    assert (REPLAYED in first.headers, second.headers[REPLAYED]) == (False, "true")
    assert counter.done == ["1"]


def test_without_a_key_everything_is_done(client: httpx.Client, counter: Counter) -> None:
    assert [post(client, None).json()["number"] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize(
    "change", [{"data": b"pixelz"}, {"name": "you.png"}, {"size": "2"}, {"note": "x"}], ids=lambda one: next(iter(one))
)
def test_another_request_is_refused(client: httpx.Client, counter: Counter, change: dict[str, object]) -> None:
    post(client)
    reply = post(client, **change)  # type: ignore[arg-type]
    assert (reply.status_code, reply.json()["code"]) == (422, "idempotency_mismatch")
    assert len(counter.done) == 1


def test_the_order_of_fields_means_nothing_and_that_of_files_does(client: httpx.Client, counter: Counter) -> None:
    def send(*parts: tuple[str, tuple[str | None, bytes]], key: str) -> int:
        return client.post("/jobs", files=list(parts), headers={HEADER: key}).status_code

    size, note = ("size", (None, b"1")), ("note", (None, b"n"))
    one, two = ("files", ("1.png", b"1")), ("files", ("2.png", b"2"))
    assert send(size, note, one, two, key="a") == 202
    assert send(one, note, two, size, key="a") == 202
    assert len(counter.done) == 1
    assert send(size, note, two, one, key="a") == 422


def test_json_bodies_and_queries_count(client: httpx.Client, counter: Counter) -> None:
    headers = {HEADER: "k"}
    assert client.post("/json?a=1&b=2", content=b"{}", headers=headers).status_code == 202
    assert client.post("/json?b=2&a=1", content=b"{}", headers=headers).headers[REPLAYED] == "true"
    assert client.post("/json?a=2&b=2", content=b"{}", headers=headers).status_code == 422
    assert client.post("/json?a=1&b=2", content=b"[]", headers=headers).status_code == 422
    assert counter.done == ["{}"]


def test_a_key_of_one_owner_says_nothing_to_another(client: httpx.Client, counter: Counter) -> None:
    for owner in ("a", "b"):
        reply = client.post("/json", content=owner, headers={HEADER: "k", "X-Owner": owner})
        assert (reply.status_code, REPLAYED in reply.headers) == (202, False)


def test_what_the_form_refuses_leaves_no_trace(client: httpx.Client, counter: Counter) -> None:
    assert post(client, size="many").status_code == 422
    assert post(client).status_code == 202


@pytest.mark.parametrize(
    ("fault", "status"),
    [(InvalidOptionError("no"), 422), (BusyError(), 429), (StorageError("away"), 503), (StorageFullError(), 507)],
)
def test_a_refusal_leaves_no_trace(client: httpx.Client, counter: Counter, fault: Exception, status: int) -> None:
    counter.fault = fault
    assert post(client).status_code == status
    counter.fault = None
    reply = post(client)
    assert (reply.status_code, REPLAYED in reply.headers) == (202, False)


@pytest.mark.parametrize("fault", [FacecraftError("broken"), ZeroDivisionError("secret")])
def test_a_failure_of_the_server_is_replayed(client: httpx.Client, counter: Counter, fault: Exception) -> None:
    counter.fault = fault
    first = post(client)
    counter.fault = None
    second = post(client)
    assert (first.status_code, second.status_code) == (500, 500)
    assert second.headers[REPLAYED] == "true"
    assert first.content == second.content
    assert "secret" not in first.text
    assert second.headers["content-type"] == "application/problem+json"
    assert len(counter.done) == 1


def test_a_second_one_at_the_same_time_is_told_to_wait(client: httpx.Client, counter: Counter) -> None:
    counter.leave.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client)
        assert counter.enter.wait(10)
        second = post(client)
        counter.leave.set()
        assert first.result(timeout=20).status_code == 202
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_progress")
    assert int(second.headers["retry-after"]) > 0
    assert post(client).headers[REPLAYED] == "true"
    assert len(counter.done) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "\x7f"])
def test_odd_keys_are_refused(client: httpx.Client, counter: Counter, key: str) -> None:
    reply = post(client, key)
    assert (reply.status_code, reply.json()["code"]) == (422, "idempotency_key_invalid")
    assert counter.done == []


def test_two_keys_are_refused(client: httpx.Client, counter: Counter) -> None:
    reply = client.post("/json", content=b"{}", headers=[(HEADER, "a"), (HEADER, "b")])
    assert reply.json()["code"] == "idempotency_key_invalid"
    assert counter.done == []


@pytest.mark.parametrize("path", ["/large", "/streamed"])
def test_what_cannot_be_kept_is_not_done_again(client: httpx.Client, counter: Counter, path: str) -> None:
    first, second = (client.post(path, headers={HEADER: "k"}) for _ in range(2))
    assert (first.status_code, first.headers["location"]) == (200, "/jobs/1")
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_reply_lost")
    assert (second.headers["location"], second.headers[REPLAYED]) == ("/jobs/1", "true")
    assert len(counter.done) == 1


def test_a_refusal_that_is_returned_leaves_no_trace_either(client: httpx.Client, counter: Counter) -> None:
    first, second = (client.post("/refused", headers={HEADER: "k"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (422, 422)
    assert REPLAYED not in second.headers
    assert len(counter.done) == 2
