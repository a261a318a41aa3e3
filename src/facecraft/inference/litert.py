"""Sessions over LiteRT (TensorFlow Lite with the XNNPACK kernels), for ``.tflite`` files."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facecraft.errors import DeviceMemoryError, InferenceError, ModelLoadError
from facecraft.inference.devices import cpu_count
from facecraft.inference.runtimes import LITERT
from facecraft.inference.session import Tensor, TensorSpec, check_inputs, closed_error

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

# More threads than this make these small networks slower, not faster.
_MOST_THREADS = 4
# XNNPACK repacks the weights (float16 and sparse ones become dense float32) for every interpreter.
_PACKED_PER_FILE_BYTE = 4
_STDERR = threading.Lock()


class LiteRtSession:
    """A ``.tflite`` network on the CPU.

    An interpreter serves one caller at a time, so up to ``callers`` of them share one copy of the file and are made
    when they are first needed. The first one runs on ``threads`` threads: a lone caller gets the whole machine. The
    others, which only work while the first is busy, run on one thread each, because threads beyond the cores cost
    a third of the throughput.

    ``threads`` and ``callers`` default to the cores this process may use, at most 4. Raises ModelLoadError when the
    file is no such network, RuntimeMissingError when LiteRT is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None, callers: int | None = None) -> None:
        cores = min(cpu_count(), _MOST_THREADS)
        self._name = Path(path).name
        self._threads = threads or cores
        self._callers = callers or cores
        try:
            self._content = Path(path).read_bytes()
        except OSError as error:
            raise ModelLoadError(f"{self._name} cannot be read.", detail=str(error)) from error
        with _without_chatter():
            first = self._make(self._threads)
        inputs, outputs = first.interpreter.get_input_details(), first.interpreter.get_output_details()
        self._input_indexes = {str(detail["name"]): int(detail["index"]) for detail in inputs}
        self._output_indexes = {str(detail["name"]): int(detail["index"]) for detail in outputs}
        self._inputs = tuple(map(_spec, inputs))
        self._outputs = tuple(map(_spec, outputs))
        self._idle = [first]
        self._made = 1
        self._closed = False
        self._changed = threading.Condition()

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def size_bytes(self) -> int:
        return len(self._content) * (1 + _PACKED_PER_FILE_BYTE * self._made)

    def run(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Run once; waits while all interpreters are busy. Raises InferenceError."""
        check_inputs(self._inputs, inputs, self._name)
        with self._lane() as lane:
            try:
                lane.fit([(self._input_indexes[name], array.shape) for name, array in inputs.items()])
                for name, array in inputs.items():
                    lane.interpreter.set_tensor(self._input_indexes[name], np.ascontiguousarray(array))
                lane.interpreter.invoke()
                return {name: lane.interpreter.get_tensor(index) for name, index in self._output_indexes.items()}
            except MemoryError as error:
                raise DeviceMemoryError(detail=f"{self._name}: {error}") from error
            except (RuntimeError, ValueError) as error:
                raise InferenceError(f"{self._name} could not run on this input.", detail=str(error)) from error

    def close(self) -> None:
        """Give the memory back at once, or as soon as the runs under way have finished."""
        with self._changed:
            self._closed = True
            self._idle.clear()
            self._content = b""
            self._changed.notify_all()

    @contextmanager
    def _lane(self) -> Iterator[_Lane]:
        lane = self._take()
        try:
            yield lane
        finally:
            with self._changed:
                if not self._closed:
                    # The lane with many threads goes to the end, from where it is taken first.
                    self._idle.append(lane)
                    self._idle.sort(key=lambda each: each.threads)
                self._changed.notify()

    def _take(self) -> _Lane:
        with self._changed:
            while not self._closed and not self._idle and self._made >= self._callers:
                self._changed.wait()
            if self._closed:
                raise closed_error(self._name)
            if self._idle:
                return self._idle.pop()
            self._made += 1
        try:
            return self._make(threads=1)
        except ModelLoadError:
            with self._changed:
                self._made -= 1
                self._changed.notify()
            raise

    def _make(self, threads: int) -> _Lane:
        try:
            from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  slow to import
        except ImportError as error:
            raise LITERT.missing(self._name, error) from error
        try:
            # All interpreters share the one copy of the bytes.
            interpreter = Interpreter(model_content=self._content, num_threads=threads)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError, MemoryError) as error:
            raise ModelLoadError(
                f"{self._name} is damaged or is not a LiteRT network.",
                hint="Run `facecraft models verify` to find damaged files.",
                detail=str(error),
            ) from error
        return _Lane(interpreter, threads)


@dataclass(slots=True)
class _Lane:
    """One interpreter: what one caller at a time may use."""

    interpreter: Interpreter
    threads: int
    shapes: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)

    def fit(self, shapes: list[tuple[int, tuple[int, ...]]]) -> None:
        """Give open dimensions the sizes of this call."""
        if shapes == self.shapes:
            return
        self.shapes = []
        for index, shape in shapes:
            self.interpreter.resize_tensor_input(index, shape)
        self.interpreter.allocate_tensors()
        self.shapes = shapes


def _spec(detail: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(None if side < 0 else int(side) for side in detail["shape_signature"])
    return TensorSpec(str(detail["name"]), shape, np.dtype(detail["dtype"]))


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Drop LiteRT's line about its delegate, which it writes past Python to file descriptor 2.

    LiteRT has no switch for it. Whatever else is written meanwhile comes out afterwards.
    """
    with _STDERR, tempfile.TemporaryFile() as caught:
        try:
            kept = os.dup(2)
        except OSError:
            kept = None
        if kept is None:
            yield
            return
        try:
            os.dup2(caught.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            for line in caught:
                if b"XNNPACK delegate" not in line:
                    os.write(2, line)
