"""Stand-ins that ship, for tests of programs built on Facecraft and for our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from facecraft.inference.session import Tensor, TensorSpec, check_inputs, closed_error


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
