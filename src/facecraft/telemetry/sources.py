"""What parts of Facecraft tell of themselves, in the form of :class:`facecraft.telemetry.metrics.Source`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from facecraft.inference.device_memory import DeviceMemory, DeviceMemoryReader
from facecraft.inference.pool.states import LoadState, PoolEventKind, ResourceState
from facecraft.jobs.job import JobState
from facecraft.jobs.waiting import Depth
from facecraft.jobs.workers import Worker
from facecraft.telemetry.tally import STAGE_SECONDS, Tally

_NO_STAGE = "begun"
"""The stage of a job of which nothing was told yet but that it runs."""


@dataclass(frozen=True, slots=True)
class StudioSource:
    """What a studio has done, which networks it holds, and how full the devices are."""

    tally: Tally
    states: Callable[[], Mapping[str, ResourceState]]
    devices: Callable[[], tuple[DeviceMemory, ...]]

    def collect(self) -> Iterator[Metric]:
        """Return the numbers as they stand."""
        yield from self._stages()
        yield from self._events()
        yield from self._pool()
        yield from self._devices()

    def _stages(self) -> Iterator[Metric]:
        seconds = HistogramMetricFamily(
            "facecraft_stage_seconds", "Time that a stage of a finished run took.", labels=("stage",)
        )
        for stage, times in sorted(self.tally.totals().stages.items()):
            reached, buckets = 0, []
            for bound, count in zip((*map(floatToGoString, STAGE_SECONDS), "+Inf"), times.counts, strict=True):
                reached += count
                buckets.append((bound, float(reached)))
            seconds.add_metric((stage,), buckets, times.seconds)
        yield seconds

    def _events(self) -> Iterator[Metric]:
        totals = self.tally.totals()
        named = {
            PoolEventKind.LOADED: ("facecraft_model_loads", "Times a model was loaded."),
            PoolEventKind.FAILED: ("facecraft_model_load_failures", "Times a model could not be loaded."),
            PoolEventKind.RAN: ("facecraft_model_runs", "Times a model was used."),
            PoolEventKind.EVICTED: ("facecraft_model_evictions", "Times a model was closed to make room for others."),
            PoolEventKind.RETIRED: ("facecraft_model_retirements", "Times a model was closed because nobody used it."),
        }
        for kind, (name, text) in named.items():
            family = CounterMetricFamily(name, text, labels=("model",))
            for (model, happened), count in sorted(totals.events.items()):
                if happened is kind:
                    family.add_metric((model,), count)
            yield family
        for name, text, seconds in (
            ("facecraft_model_load_seconds", "Time spent on loading a model.", totals.load_seconds),
            ("facecraft_model_run_seconds", "Time for which a model was in use.", totals.run_seconds),
        ):
            family = CounterMetricFamily(name, text, labels=("model",))
            for model, value in sorted(seconds.items()):
                family.add_metric((model,), value)
            yield family
        ended = CounterMetricFamily(
            "facecraft_jobs_ended", "Jobs that ended in this process, by name and state.", labels=("name", "state")
        )
        for (name, state), count in sorted(totals.jobs.items()):
            ended.add_metric((name, state), count)
        yield ended

    def _pool(self) -> Iterator[Metric]:
        loaded = GaugeMetricFamily("facecraft_model_loaded", "1 while a model is in memory.", labels=("model",))
        memory = GaugeMetricFamily(
            "facecraft_model_memory_bytes", "Estimated memory that a model takes.", labels=("model",)
        )
        in_use = GaugeMetricFamily("facecraft_model_in_use", "Runs of a model under way.", labels=("model",))
        for model, state in sorted(self.states().items()):
            loaded.add_metric((model,), float(state.state is LoadState.LOADED))
            memory.add_metric((model,), state.size_bytes)
            in_use.add_metric((model,), state.in_use)
        yield from (loaded, memory, in_use)

    def _devices(self) -> Iterator[Metric]:
        used = GaugeMetricFamily("facecraft_device_memory_used_bytes", "Memory of a GPU in use.", labels=("device",))
        size = GaugeMetricFamily("facecraft_device_memory_size_bytes", "Memory of a GPU.", labels=("device",))
        for device in self.devices():
            used.add_metric((device.name,), device.used_bytes)
            size.add_metric((device.name,), device.size_bytes)
        yield from (used, size)


def studio_source(tally: Tally, states: Callable[[], Mapping[str, ResourceState]], *, gpu: bool) -> StudioSource:
    """Return the source of one studio; ``gpu`` is whether it uses one."""
    return StudioSource(tally, states, DeviceMemoryReader() if gpu else lambda: ())


@dataclass(frozen=True, slots=True)
class Fleet:
    """All jobs and workers over one database, at one moment."""

    moment: datetime
    revision: str | None
    """Of the tables; None: there is no database yet."""
    jobs: Mapping[JobState, int]
    depths: tuple[Depth, ...]
    workers: tuple[Worker, ...]
    """Those that were heard of lately."""
    stages: Mapping[str | None, int]
    """Running jobs in each stage; None: in none that was told of yet."""


@dataclass(frozen=True, slots=True)
class FleetSource:
    """What the database knows of jobs and workers: the same whichever process is asked."""

    fleet: Callable[[], Fleet | None]
    """None: the database cannot be read, so nothing is told of it."""
    queues: tuple[str, ...]
    """Queues that are told of while they are empty, too."""

    def collect(self) -> Iterator[Metric]:
        """Return the numbers of the last look."""
        fleet = self.fleet()
        if fleet is None:
            return
        jobs = GaugeMetricFamily("facecraft_jobs", "Jobs that are kept, by state.", labels=("state",))
        for state, count in fleet.jobs.items():
            jobs.add_metric((state.value,), count)
        running = GaugeMetricFamily(
            "facecraft_jobs_running", "Jobs that run, by the stage they are in.", labels=("stage",)
        )
        for stage, count in sorted(fleet.stages.items(), key=lambda each: each[0] or ""):
            running.add_metric((stage or _NO_STAGE,), count)
        depth = GaugeMetricFamily("facecraft_queue_depth", "Jobs that wait in a queue.", labels=("queue",))
        age = GaugeMetricFamily(
            "facecraft_queue_oldest_seconds",
            "Time for which the oldest job of a queue could have run.",
            labels=("queue",),
        )
        known = {each.queue: each for each in fleet.depths}
        for queue in sorted({*self.queues, *known}):
            waits = known.get(queue)
            depth.add_metric((queue,), 0 if waits is None else waits.waiting)
            oldest = None if waits is None else waits.oldest
            age.add_metric((queue,), 0.0 if oldest is None else max(0.0, (fleet.moment - oldest).total_seconds()))
        yield from (jobs, running, depth, age)
        for name, text, value in (
            ("facecraft_workers", "Workers that were heard of lately.", len(fleet.workers)),
            (
                "facecraft_workers_deaf",
                "Workers among them that take up nothing although jobs of their queues wait.",
                sum(worker.deaf_since is not None for worker in fleet.workers),
            ),
            (
                "facecraft_worker_places",
                "Jobs that these workers can run at once.",
                sum(worker.places for worker in fleet.workers),
            ),
            (
                "facecraft_worker_places_busy",
                "Jobs that these workers run.",
                sum(worker.busy for worker in fleet.workers),
            ),
        ):
            yield GaugeMetricFamily(name, text, value=value)


@dataclass(frozen=True, slots=True)
class PartsSource:
    """Which parts that the service needs are ready."""

    parts: Callable[[], Mapping[str, bool]]

    def collect(self) -> Iterator[Metric]:
        """Return what is known."""
        ready = GaugeMetricFamily(
            "facecraft_part_ready", "1 while a part that the service needs is ready.", labels=("part",)
        )
        for part, is_ready in self.parts().items():
            ready.add_metric((part,), float(is_ready))
        yield ready


@dataclass(frozen=True, slots=True)
class Gauges:
    """Single numbers by name, with their explanations."""

    read: Callable[[], Mapping[str, tuple[str, float]]]

    def collect(self) -> Iterator[Metric]:
        """Return the numbers as they stand."""
        for name, (text, value) in self.read().items():
            yield GaugeMetricFamily(name, text, value=value)
