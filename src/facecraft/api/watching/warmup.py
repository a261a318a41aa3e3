"""Running every required model once after the start, so that readiness is seen and not assumed."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np

from facecraft import telemetry
from facecraft.api.workbench import Workbench
from facecraft.catalog.spec import Task
from facecraft.errors import FacecraftError, ModelError, ModelNotInstalledError
from facecraft.imaging.image import Image
from facecraft.studio import Studio

REQUIRED = (Task.FACE_DETECTION, Task.FACE_LANDMARKS, Task.MATTING)
"""What a portrait is made with. Restoration is optional and not waited for."""
RETRY_SECONDS = 5.0
"""After a failure nobody tries again sooner."""

log = telemetry.logger("api")


def start(bench: Workbench, warmup: Warmup) -> asyncio.Task[None]:
    """Warm up in the background; a surprise is logged."""
    task = asyncio.create_task(bench.run(warmup.run))
    task.add_done_callback(_log_surprise)
    return task


def _log_surprise(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.error("the models could not be tried", exc_info=error)


class Warmup:
    """Whether the required models have really run once, and if not, why."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._running = threading.Lock()
        self._ready = False
        self._error: FacecraftError | None = None
        self._tried = -RETRY_SECONDS

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def problem(self) -> FacecraftError:
        """Why the service is not ready."""
        return self._error or ModelError("The models are still being loaded.", hint="Ask again in a second.")

    @property
    def due(self) -> bool:
        """Whether it is time to try (again)."""
        return not self._ready and not self._running.locked() and time.monotonic() - self._tried >= RETRY_SECONDS

    def run(self) -> None:
        """Run the models once unless somebody else does so now. Blocks: call it in a worker. Never raises."""
        if not self._running.acquire(blocking=False):
            return
        try:
            if self._ready:
                return
            start = time.perf_counter()
            error: FacecraftError | None = FacecraftError("The models could not be tried.")
            try:
                error = self._try()
            finally:  # a surprise is no readiness either
                self._error = error
            self._ready = self._error is None
            if self._error is None:
                log.info("ready: the models ran in %.0f ms", (time.perf_counter() - start) * 1000)
            else:
                log.warning("not ready: %s %s", self._error.message, self._error.hint or "")
        finally:
            self._tried = time.monotonic()
            self._running.release()

    def _try(self) -> FacecraftError | None:
        for probe in self._studio.hub.probe(REQUIRED):
            if isinstance(probe.error, ModelNotInstalledError):
                return ModelNotInstalledError(
                    f"A required model is not installed: {probe.error.message}",
                    hint=probe.error.hint or "facecraft models install starter",
                    wanted=probe.error.wanted,
                )
            if probe.error is not None:
                return probe.error
        try:
            # Loads what the first request would otherwise wait for: solvers and encoders.
            self._studio.cutout(Image(np.full((96, 96, 3), 128, np.uint8)))
        except FacecraftError as error:
            return error
        return None
