"""Numbers are exact, of this application alone, and bounded in their labels."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from facecraft.inference.device_memory import DeviceMemory
from facecraft.inference.pool import SessionPool
from facecraft.jobs.job import JobState
from facecraft.jobs.waiting import Depth
from facecraft.jobs.workers import Worker
from facecraft.pipelines.pipeline import StageTime
from facecraft.telemetry.metrics import Exchange, Metrics
from facecraft.telemetry.sources import Fleet, FleetSource, StudioSource
from facecraft.telemetry.tally import STAGE_SECONDS, Tally
from facecraft.testing import FakeSession

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def read(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    body, media_type = metrics.text("")
    assert media_type.startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def of(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, /, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_requests_are_counted_by_their_route_and_streams_are_not_timed() -> None:
    metrics = Metrics()
    for status, method, route in (
        (200, "GET", "/a/{id}"),
        (200, "GET", "/a/{id}"),
        (0, "POST", None),
        (404, "X", None),
    ):
        exchange = Exchange(status=status)
        with metrics.request(exchange):
            assert of(read(metrics), "facecraft_http_requests_open") == 1
        metrics.answered(exchange, method, route, time.perf_counter() - 0.2)
    stream = Exchange(status=200)
    with metrics.request(stream):
        metrics.streams(stream)
        metrics.streams(stream)
        assert of(read(metrics), "facecraft_event_streams_open") == 1
    metrics.answered(stream, "GET", "/events", time.perf_counter())
    found = read(metrics)
    total = "facecraft_http_requests_total"
    assert of(found, total, method="GET", route="/a/{id}", status="200") == 2
    assert of(found, total, method="POST", route="unmatched", status="499") == 1
    assert of(found, total, method="other", route="unmatched", status="404") == 1
    assert of(found, total, method="GET", route="/events", status="200") == 1
    assert of(found, "facecraft_http_request_seconds_count", method="GET", route="/a/{id}") == 2
    assert of(found, "facecraft_http_request_seconds_bucket", method="GET", route="/a/{id}", le="0.1") == 0
    assert not [name for name, labels in found if ("route", "/events") in labels and name != total]
    assert of(found, "facecraft_http_requests_open") == of(found, "facecraft_event_streams_open") == 0


def test_two_applications_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.answered(Exchange(status=200), "GET", "/a", time.perf_counter())
    assert [key for key in read(one) if key[0] == "facecraft_http_requests_total"]
    assert not [key for key in read(other) if key[0] == "facecraft_http_requests_total"]


def test_processes_on_one_port_are_told_apart_and_what_they_share_is_not() -> None:
    metrics = Metrics.of_server(2)
    metrics.add(FleetSource(lambda: Fleet(NOW, "0001", dict.fromkeys(JobState, 0), (), (), {}), ("gpu",)), shared=True)
    metrics.answered(Exchange(status=200), "GET", "/a", time.perf_counter())
    labels = {name: dict(given) for name, given in read(metrics)}
    assert labels["facecraft_http_requests_total"]["process"].isdigit()
    assert labels["process_resident_memory_bytes"]["process"].isdigit()
    assert labels["facecraft_workers"] == {}


def test_stages_models_and_jobs_are_told() -> None:
    tally = Tally()
    with SessionPool(observe=tally.heard, budget_bytes=15) as pool:
        for name in ("one", "two"):
            with pool.resource(name, lambda: FakeSession((), (), lambda _: {}, size_bytes=10)).lease():
                pass
        tally.ran([StageTime("crop", 4.0), StageTime("crop", 700.0), StageTime("tone", 9e6)])
        tally.ran([StageTime("restore", 1.0, "no face")])
        tally.ended("portrait", "succeeded")
        metrics = Metrics()
        metrics.add(StudioSource(tally, pool.states, lambda: (DeviceMemory("cuda:0", 3, 8),)))
        found = read(metrics)
    assert of(found, "facecraft_stage_seconds_count", stage="crop") == 2
    assert of(found, "facecraft_stage_seconds_bucket", stage="crop", le="0.005") == 1
    assert of(found, "facecraft_stage_seconds_bucket", stage="crop", le="0.5") == 1
    assert of(found, "facecraft_stage_seconds_bucket", stage="crop", le="1.0") == 2
    assert of(found, "facecraft_stage_seconds_bucket", stage="tone", le=str(STAGE_SECONDS[-1])) == 0
    assert of(found, "facecraft_stage_seconds_bucket", stage="tone", le="+Inf") == 1
    assert round(of(found, "facecraft_stage_seconds_sum", stage="crop"), 3) == 0.704
    assert not [labels for _, labels in found if ("stage", "restore") in labels]
    assert of(found, "facecraft_model_loads_total", model="one") == 1
    assert of(found, "facecraft_model_evictions_total", model="one") == 1
    assert of(found, "facecraft_model_loaded", model="one") == 0
    assert of(found, "facecraft_model_memory_bytes", model="two") == 10
    assert of(found, "facecraft_model_load_seconds_total", model="two") >= 0
    assert of(found, "facecraft_jobs_ended_total", name="portrait", state="succeeded") == 1
    assert of(found, "facecraft_device_memory_used_bytes", device="cuda:0") == 3
    assert of(found, "facecraft_device_memory_size_bytes", device="cuda:0") == 8


def test_queues_are_told_while_they_are_empty_and_nothing_without_a_database() -> None:
    worker = Worker("w", "h", 1, "embedded", ("gpu",), "cpu", 2, "0", NOW, NOW, busy=1)
    depth = Depth("gpu", 3, NOW - timedelta(seconds=40))
    stages = {None: 1, "restore": 2}
    fleet: list[Fleet | None] = [Fleet(NOW, "0001", {JobState.QUEUED: 3}, (depth,), (worker, worker), stages)]
    metrics = Metrics()
    metrics.add(FleetSource(lambda: fleet[0], ("gpu", "render")), shared=True)
    found = read(metrics)
    assert of(found, "facecraft_jobs", state="queued") == 3
    assert of(found, "facecraft_jobs_running", stage="restore") == 2
    assert of(found, "facecraft_jobs_running", stage="begun") == 1
    assert of(found, "facecraft_queue_depth", queue="gpu") == 3
    assert of(found, "facecraft_queue_oldest_seconds", queue="gpu") == 40
    assert of(found, "facecraft_queue_depth", queue="render") == of(
        found, "facecraft_queue_oldest_seconds", queue="render"
    )
    assert of(found, "facecraft_worker_places") == 4
    assert of(found, "facecraft_worker_places_busy") == 2
    fleet[0] = None
    assert not [name for name, _ in read(metrics) if name in ("facecraft_jobs", "facecraft_queue_depth")]


def test_open_metrics_is_spoken_to_who_asks_for_it() -> None:
    body, media_type = Metrics().text("application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
