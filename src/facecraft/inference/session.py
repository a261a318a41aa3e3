"""`Session`, the one shape in which every inference runtime is used.

A session is a loaded network: named float or integer arrays go in, named arrays come out. Adapters are written
against this protocol only; the runtimes behind it live in the other modules of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecraft.errors import InferenceError

Tensor: TypeAlias = NDArray[Any]
"""A dense array of any numeric dtype."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a network. A dimension that the network leaves open is None."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        sides = "×".join("?" if side is None else str(side) for side in self.shape) or "scalar"
        return f"{self.name} ({sides} {self.dtype})"

    def accepts(self, array: Tensor) -> bool:
        """Whether ``array`` has this dtype and a shape that fits."""
        return (
            array.dtype == self.dtype
            and array.ndim == len(self.shape)
            and all(side is None or side == got for side, got in zip(self.shape, array.shape, strict=True))
        )


class Session(Protocol):
    """A loaded network. ``run`` may be called from several threads at once; the session sees to it."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs in the order of the graph."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs in the order of the graph."""
        ...

    @property
    def device(self) -> str:
        """Where it runs: ``cpu`` or ``cuda:N``."""
        ...

    @property
    def size_bytes(self) -> int:
        """Estimated resident memory of the network, in bytes."""
        ...

    def run(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Run once. Returned arrays belong to the caller. Raises InferenceError."""
        ...

    def close(self) -> None:
        """Give the memory back. Further calls of ``run`` raise InferenceError."""
        ...


def check_inputs(specs: tuple[TensorSpec, ...], inputs: Mapping[str, Tensor], network: str) -> None:
    """Raise InferenceError that names expected and given inputs unless ``inputs`` are exactly what ``specs`` ask for."""
    if len(inputs) == len(specs) and all(s.name in inputs and s.accepts(inputs[s.name]) for s in specs):
        return
    expected = ", ".join(map(str, specs))
    given = ", ".join(str(TensorSpec(name, array.shape, array.dtype)) for name, array in inputs.items()) or "nothing"
    raise InferenceError(f"{network} expects {expected} and got {given}.")


def closed_error(network: str) -> InferenceError:
    """The error of a run on a session that has been closed."""
    return InferenceError(f"{network} has been closed and cannot run any more.")
