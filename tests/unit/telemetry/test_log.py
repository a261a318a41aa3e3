"""Every line of the log says which request and which job it belongs to."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from facecraft import telemetry
from facecraft.jobs.current import current_job, working_on


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    root = logging.getLogger("facecraft")
    handlers, level, propagate = root.handlers[:], root.level, root.propagate
    yield
    root.handlers[:], root.propagate = handlers, propagate
    root.setLevel(level)


def test_lines_of_lower_layers_carry_request_and_job(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure(level="INFO", json=True)
    below = logging.getLogger("facecraft.models")
    with telemetry.bind(request_id="r1"):
        below.info("one")
        with working_on("j1"):
            below.warning("two", extra={"detail": "why"})
            below.info("three", extra={"job_id": "j2"})
    below.info("four")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = [(line["event"], line.get("request_id"), line.get("job_id")) for line in lines]
    assert told == [("one", "r1", None), ("two", "r1", "j1"), ("three", "r1", "j2"), ("four", None, None)]
    assert lines[1]["detail"] == "why"
    assert {"timestamp", "level", "logger"} <= set(lines[0])


def test_a_job_is_forgotten_when_it_breaks() -> None:
    with pytest.raises(ValueError, match="broken"), working_on("j1"):
        raise ValueError("broken")
    assert current_job() is None


@pytest.mark.parametrize("as_json", [False, True])
def test_a_traceback_shows_no_values(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    telemetry.configure(level="INFO", json=as_json)

    secret = "hunter2" * 3

    def broken(password: str) -> None:
        raise ValueError(len(password))

    try:
        broken(secret)
    except ValueError:
        logging.getLogger("facecraft.api").exception("unexpected error")
    written = capsys.readouterr().err
    assert "ValueError: 21" in written
    assert "in broken" in written
    assert secret not in written
