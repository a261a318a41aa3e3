"""Links to routes."""

from __future__ import annotations

from fastapi import FastAPI, Request

from facecraft.api.paths import Paths, path_of


def app() -> FastAPI:
    made = FastAPI()

    @made.get("/jobs/{job_id}/files/{name}", name="file")
    async def file(job_id: str, name: str) -> str:
        return f"{job_id} {name}"

    made.state.paths = Paths(made)
    return made


def asked(made: FastAPI, root: str = "") -> Request:
    return Request({"type": "http", "app": made, "root_path": root, "headers": []})


def test_each_link_has_its_own_parts() -> None:
    made = app()
    assert path_of(asked(made), "file", job_id="1", name="a.png") == "/jobs/1/files/a.png"
    assert path_of(asked(made), "file", job_id="{name}", name="b") == "/jobs/{name}/files/b"


def test_a_prefix_goes_before_it() -> None:
    assert path_of(asked(app(), "/studio/"), "file", job_id="1", name="2") == "/studio/jobs/1/files/2"
