"""What callers of the pool hold: a key and how to load what it stands for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from facecraft.inference.pool.states import ResourceState
from facecraft.inference.session import Session, Tensor, TensorSpec, closed_error


class Closable(Protocol):
    """What the pool can keep: something that gives its memory back when told."""

    @property
    def size_bytes(self) -> int:
        """Estimated resident memory in bytes."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


ResourceT = TypeVar("ResourceT", bound=Closable)


class Lender(Protocol):
    """The pool, as its handles see it."""

    def acquire(self, key: str, load: Callable[[], Any]) -> Any:
        """Lend what ``key`` stands for, loading it first where needed."""
        ...

    def release(self, key: str, seconds: float) -> None:
        """Take it back; it was used for ``seconds``."""
        ...

    def states(self) -> Mapping[str, ResourceState]:
        """What is loaded, loading or failed, by key."""
        ...


@dataclass(frozen=True, slots=True)
class PooledResource(Generic[ResourceT]):
    """A key of the pool and how to load what it stands for."""

    pool: Lender
    key: str
    load: Callable[[], ResourceT] = field(repr=False)

    @contextmanager
    def lease(self) -> Iterator[ResourceT]:
        """Lend it for the time of a ``with`` block, loading it first where needed. Raises what the load raises."""
        value: ResourceT = self.pool.acquire(self.key, self.load)
        start = time.perf_counter()
        try:
            yield value
        finally:
            self.pool.release(self.key, time.perf_counter() - start)


class PooledSession:
    """A :class:`Session` that is in memory only while it is needed. Asking for its inputs loads it, too."""

    def __init__(self, resource: PooledResource[Session]) -> None:
        self._resource = resource
        self._specs: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], str] | None = None
        self._closed = False

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._described()[0]

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._described()[1]

    @property
    def device(self) -> str:
        return self._described()[2]

    @property
    def size_bytes(self) -> int:
        """Estimated memory at this moment; 0 while it is not loaded."""
        state = self._resource.pool.states().get(self._resource.key)
        return 0 if state is None else state.size_bytes

    def run(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Run once, loading the network first where needed. Raises InferenceError and what the load raises."""
        if self._closed:
            raise closed_error(self._resource.key)
        with self._resource.lease() as session:
            return session.run(inputs)

    def close(self) -> None:
        """Refuse further runs through this handle; the pool closes the network when nobody else uses it."""
        self._closed = True

    def _described(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], str]:
        if self._specs is None:
            with self._resource.lease() as session:
                self._specs = session.inputs, session.outputs, session.device
        return self._specs
