"""Stand-ins that ship, for tests of programs built on Facecraft and for our own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock

from facecraft.errors import ImageDecodeError
from facecraft.inference.session import Tensor, TensorSpec, check_inputs, closed_error
from facecraft.jobs.job import PICTURE
from facecraft.jobs.performing import REPORT, Product
from facecraft.jobs.tasks import FacesTask, PipelineTask
from facecraft.pipelines.stage import Watch
from facecraft.progress import ProgressEvent


class FakeSession:
    """A :class:`~facecraft.inference.session.Session` whose network is a Python function.

    ``fn`` gets the checked inputs and returns the outputs by name. ``runs`` counts the calls and ``closed`` tells
    whether it was closed, so that a test can see who kept what.
    """

    def __init__(
        self,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        fn: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]],
        *,
        size_bytes: int = 0,
        device: str = "cpu",
        name: str = "The fake network",
    ) -> None:
        self._inputs, self._outputs, self._fn = tuple(inputs), tuple(outputs), fn
        self._size, self._device, self._name = size_bytes, device, name
        self._lock = Lock()
        self._runs = 0
        self._closed = False

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    @property
    def device(self) -> str:
        return self._device

    @property
    def size_bytes(self) -> int:
        return self._size

    @property
    def runs(self) -> int:
        """How often it has run."""
        return self._runs

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def run(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Check the inputs, call the function and return copies of what it gave. Raises InferenceError."""
        check_inputs(self._inputs, inputs, self._name)
        with self._lock:
            if self._closed:
                raise closed_error(self._name)
            self._runs += 1
        return {name: array.copy() for name, array in self._fn(inputs).items()}

    def close(self) -> None:
        """Refuse further runs."""
        with self._lock:
            self._closed = True


BROKEN = b"broken"
"""What :class:`FakePerformer` takes for a picture that cannot be read."""


class FakePerformer:
    """A :class:`~facecraft.jobs.performing.Performer` that does nothing, slowly.

    It waits ``seconds`` in ``stages`` equal stages, tells of each, honours the wish to stop and returns the picture as
    it was. :data:`BROKEN` raises ImageDecodeError. With ``marks`` it appends a line to that file when an item begins
    and when it ends: what happens, the item's name, the process and the clock in nanoseconds, which all processes of
    a machine share. So a test can see whether anything was ever done twice at the same time.
    """

    def __init__(self, *, seconds: float = 0.0, stages: int = 3, marks: Path | None = None) -> None:
        self._seconds = seconds
        self._stages = stages
        self._marks = marks
        self._lock = Lock()
        self._calls = 0

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return self._calls

    def __call__(
        self, task: PipelineTask | FacesTask, pictures: Mapping[str, bytes], *, name: str | None, watch: Watch
    ) -> tuple[Product, ...]:
        """Wait, and return the picture and a report. Raises ImageDecodeError, CancelledError."""
        with self._lock:
            self._calls += 1
        self._mark("begin", name)
        try:
            for stage in range(self._stages):
                watch.progress(ProgressEvent(f"stage-{stage}", stage / self._stages))
                self._wait(self._seconds / self._stages, watch)
            if pictures[PICTURE] == BROKEN:
                raise ImageDecodeError
        finally:
            self._mark("end", name)
        return (
            Product("result.png", "image/png", pictures[PICTURE]),
            Product(REPORT, "application/json", f'{{"task": "{task.name}"}}'.encode()),
        )

    @staticmethod
    def _wait(seconds: float, watch: Watch) -> None:
        end = time.monotonic() + seconds
        watch.cancel.check()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.01))
            watch.cancel.check()

    def _mark(self, what: str, name: str | None) -> None:
        if self._marks is None:
            return
        line = f"{what} {name} {os.getpid()} {time.monotonic_ns()}\n".encode()
        # One write to a file that is opened for appending is not torn by others.
        handle = os.open(self._marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)
