"""Constants read out of ``.onnx`` files without the onnx package, compared with what the onnx package wrote."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from facecraft.errors import ModelLoadError
from facecraft.inference.onnx_initializers import initializers, read_initializer

VALUES = np.random.default_rng(5).standard_normal((7, 5)).astype(np.float32)


def as_raw(name: str, values: np.ndarray = VALUES) -> onnx.TensorProto:
    return numpy_helper.from_array(values, name)


def as_floats(name: str) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, VALUES.shape, VALUES.ravel())


def as_halves(name: str) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT16, VALUES.shape, VALUES.astype(np.float16).ravel())


def as_doubles(name: str) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.DOUBLE, VALUES.shape, VALUES.ravel().astype(np.float64))


def write(path: Path, constants: list[onnx.TensorProto], used: str) -> Path:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", used], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 7])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        constants,
    )
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    return path


@pytest.mark.parametrize("form", [as_raw, as_floats, as_doubles])
def test_values_are_those_that_were_written(tmp_path: Path, form: object) -> None:
    path = write(tmp_path / "n.onnx", [as_raw("w"), form("wanted")], "w")  # type: ignore[operator]
    found = initializers(path)
    assert [(each.name, each.shape, each.used) for each in found] == [("w", (7, 5), True), ("wanted", (7, 5), False)]
    assert np.array_equal(read_initializer(path, found[1]), VALUES)


@pytest.mark.parametrize("form", [as_halves, lambda name: as_raw(name, VALUES.astype(np.float16))])
def test_half_precision_becomes_float32(tmp_path: Path, form: object) -> None:
    path = write(tmp_path / "n.onnx", [form("wanted"), as_raw("w")], "w")  # type: ignore[operator]
    values = read_initializer(path, initializers(path)[0])
    assert values.dtype == np.float32
    assert np.array_equal(values, VALUES.astype(np.float16).astype(np.float32))


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    whole = as_raw("n", np.arange(4))
    path = write(tmp_path / "n.onnx", [whole, as_raw("w")], "w")
    with pytest.raises(ModelLoadError, match="floating"):
        read_initializer(path, initializers(path)[0])
    outside = as_raw("far")
    onnx.external_data_helper.set_external_data(outside, "weights.bin")
    path = write(tmp_path / "e.onnx", [outside, as_raw("w")], "w")
    with pytest.raises(ModelLoadError, match="another file"):
        read_initializer(path, initializers(path)[0])
    with pytest.raises(ModelLoadError, match="cannot be read"):
        initializers(tmp_path / "missing.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ModelLoadError):
        initializers(tmp_path / "empty.onnx")


@given(st.integers(0, 10_000), st.binary(max_size=12))
@settings(max_examples=150, deadline=None)
def test_damaged_files_end_in_an_error_or_in_a_list(
    tmp_path_factory: pytest.TempPathFactory, at: int, junk: bytes
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = write(folder / "n.onnx", [as_raw("w"), as_floats("wanted")], "w")
    content = path.read_bytes()
    at %= len(content)
    path.write_bytes(content[:at] + junk + content[at + len(junk) :])
    try:
        for each in initializers(path):
            read_initializer(path, each)
    except ModelLoadError:
        pass
    path.write_bytes(content[:at])
    with contextlib.suppress(ModelLoadError):
        initializers(path)


def test_neither_onnx_nor_onnxruntime_is_imported(tmp_path: Path) -> None:
    path = write(tmp_path / "n.onnx", [as_raw("w")], "w")
    code = (
        "import sys; from facecraft.inference.onnx_initializers import initializers;"
        f"initializers({str(path)!r}); print([m for m in ('onnx', 'onnxruntime', 'pickle') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "onnx" not in out.stdout
