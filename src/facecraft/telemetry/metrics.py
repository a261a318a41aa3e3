"""`Metrics`: the numbers of one application, as Prometheus reads them.

Every application has registries of its own, never the global one, so that several may live in one process. Labels are
bounded: routes are counted by their template, methods outside a short list as one, and everything else is a name of
this program.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds of the classes that times of requests are counted in."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"
"""The route of a request to an address that does not exist, or that was refused before it was looked for."""
_OTHER = "other"
_CREATED = "_created"  # since when each label exists: as many lines again, which nobody reads


class Source(Protocol):
    """Whoever has numbers to tell; asked for each scrape, in a worker thread."""

    def collect(self) -> Iterable[Metric]:
        """Return the numbers as they stand."""
        ...


@dataclass(slots=True)
class Exchange:
    """One request under way, and what its answer turned out to be."""

    status: int = 0
    """0 until the answer has begun: nobody waited for it."""
    streams: bool = False
    """Whether the answer is a stream of events, which says nothing about speed by how long it lasts."""


class Metrics:
    """Counts requests, and gathers what others counted. Safe to use from several threads."""

    def __init__(self, *, process: str | None = None) -> None:
        """``process`` tells apart processes that answer on one port; it becomes a label of what each counts itself."""
        self._process = process
        self._own = CollectorRegistry(auto_describe=False)
        self._shared = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._own)
        GCCollector(registry=self._own)
        self._requests = Counter(
            "facecraft_http_requests",
            "Requests that were answered, by route template; status 499: the client did not wait.",
            ("method", "route", "status"),
            registry=self._own,
        )
        self._seconds = Histogram(
            "facecraft_http_request_seconds",
            "Time from a request to the end of its answer, streams of events left out.",
            ("method", "route"),
            buckets=REQUEST_SECONDS,
            registry=self._own,
        )
        self._open = Gauge("facecraft_http_requests_open", "Requests under way.", registry=self._own)
        self._streams = Gauge("facecraft_event_streams_open", "Streams of events under way.", registry=self._own)

    @classmethod
    def of_server(cls, workers: int) -> Metrics:
        """Return the metrics of one of ``workers`` processes."""
        return cls(process=None if workers == 1 else str(os.getpid()))

    def add(self, source: Source, *, shared: bool = False) -> None:
        """Tell what ``source`` knows, too; ``shared`` numbers are the same in every process."""
        (self._shared if shared else self._own).register(_Collecting(source))

    @contextmanager
    def request(self, exchange: Exchange) -> Iterator[None]:
        """Keep a request for the open ones until the block ends; :meth:`answered` counts it."""
        self._open.inc()
        try:
            yield
        finally:
            self._open.dec()
            if exchange.streams:
                self._streams.dec()

    def streams(self, exchange: Exchange) -> None:
        """Take note that the answer of ``exchange`` is a stream of events."""
        if not exchange.streams:
            exchange.streams = True
            self._streams.inc()

    def answered(self, exchange: Exchange, method: str, route: str | None, start: float) -> None:
        """Count a request that began at ``start``, on the clock of ``time.perf_counter``."""
        method = method if method in METHODS else _OTHER
        route = route or UNMATCHED
        self._requests.labels(method, route, str(exchange.status or 499)).inc()
        if not exchange.streams:
            self._seconds.labels(method, route).observe(time.perf_counter() - start)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return everything as text and its media type: OpenMetrics for who accepts it, else Prometheus' own format.

        May look into the database: call it in a worker.
        """
        encode, media_type = choose_encoder(accept)
        body: bytes = encode(self)
        return body, media_type

    def collect(self) -> Iterator[Metric]:
        """Return every number: what the encoders of the library ask a registry for."""
        more = {} if self._process is None else {"process": self._process}
        for metric in self._own.collect():
            metric.samples = [
                sample._replace(labels={**sample.labels, **more})
                for sample in metric.samples
                if not sample.name.endswith(_CREATED)
            ]
            yield metric
        yield from self._shared.collect()


class _Collecting(Collector):
    """A :class:`Source` in the form of the library."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def collect(self) -> Iterable[Metric]:
        return self._source.collect()

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: what there is to tell is known when somebody asks."""
        return ()
