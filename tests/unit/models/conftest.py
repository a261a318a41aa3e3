"""Tiny graphs with the names, shapes and types of real networks, whose outputs tell what the network saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facecraft.inference.onnx import OnnxSession
from facecraft.inference.session import Tensor, TensorSpec

Side = int | str
FLOAT = 1
INT64 = 7


@dataclass
class Graph:
    """A graph under construction; ``save`` writes the file."""

    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def takes(self, name: str, shape: Sequence[Side], kind: int = FLOAT) -> str:
        from onnx import helper

        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def gives(self, name: str, shape: Sequence[Side], kind: int = FLOAT) -> None:
        from onnx import helper

        self.outputs.append(helper.make_tensor_value_info(name, kind, list(shape)))

    def constant(self, values: NDArray[Any] | Sequence[Any], dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        name = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def means(self, picture: str) -> str:
        """N×3: the mean of every channel that the network sees."""
        return self.node("ReduceMean", picture, axes=[2, 3], keepdims=0)

    def channel(self, rows: str, *channels: int) -> str:
        """Columns of an N×C tensor."""
        return self.node("Gather", rows, self.constant(channels, np.int64), axis=1)

    def save(self, path: Path) -> Path:
        import onnx
        from onnx import helper

        graph = helper.make_graph(self.nodes, path.stem, self.inputs, self.outputs, self.constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
        return path

    def session(self, path: Path) -> CountingSession:
        return CountingSession(OnnxSession(self.save(path), threads=1))


class CountingSession:
    """A real session that remembers how many rows each run had."""

    def __init__(self, session: OnnxSession) -> None:
        self._session = session
        self.rows: list[int] = []

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._session.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._session.outputs

    @property
    def device(self) -> str:
        return self._session.device

    @property
    def size_bytes(self) -> int:
        return self._session.size_bytes

    def run(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        self.rows.append(len(next(iter(inputs.values()))))
        return self._session.run(inputs)

    def close(self) -> None:
        self._session.close()


@pytest.fixture
def graph() -> Graph:
    pytest.importorskip("onnx")
    return Graph()


@pytest.fixture
def new_graph() -> type[Graph]:
    pytest.importorskip("onnx")
    return Graph
