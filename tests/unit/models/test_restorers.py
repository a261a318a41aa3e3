"""Restorers, proven on tiny graphs with the real names, shapes, types and ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from facecraft.errors import InferenceError, ModelLoadError
from facecraft.faces.alignment import ARCFACE_128
from facecraft.inference.onnx import OnnxSession
from facecraft.models.restorers import AlignedRestorer


def _graph(path: Path, *, codeformer: bool) -> Path:
    """An identity restorer; with a ``weight`` input the output is the input scaled by it."""
    shape = [1, 3, 512, 512]
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)]
    if codeformer:
        inputs.append(helper.make_tensor_value_info("weight", TensorProto.DOUBLE, [1]))
        nodes = [
            helper.make_node("Cast", ["weight"], ["w"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["input", "w"], ["output"]),
        ]
    else:
        nodes = [helper.make_node("Identity", ["input"], ["output"])]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "restorer", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def _crop() -> np.ndarray:
    rng = np.random.default_rng(7)
    return rng.integers(0, 256, (512, 512, 3), np.uint8)


def test_an_identity_restorer_returns_the_picture(tmp_path: Path) -> None:
    session = OnnxSession(_graph(tmp_path / "gfpgan.onnx", codeformer=False))
    crop = _crop()
    restored = AlignedRestorer(session).restore(crop, 0.0)
    assert restored.dtype == np.uint8
    assert np.abs(restored.astype(int) - crop).max() <= 1


def test_codeformer_gets_its_fidelity_as_a_double(tmp_path: Path) -> None:
    session = OnnxSession(_graph(tmp_path / "codeformer.onnx", codeformer=True))
    crop = _crop()
    grey = AlignedRestorer(session).restore(crop, 0.0)
    same = AlignedRestorer(session).restore(crop, 1.0)
    assert np.abs(grey.astype(int) - 127.5).max() <= 1
    assert np.abs(same.astype(int) - crop).max() <= 1


def _written(path: Path, inputs: list[onnx.ValueInfoProto], shape: list[int], kind: int = TensorProto.FLOAT) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Identity", [inputs[0].name], ["2359"])],
        "restorer",
        inputs,
        [helper.make_tensor_value_info("2359", kind, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_colours_are_shown_red_first_between_minus_one_and_one(tmp_path: Path) -> None:
    shape = [1, 3, 512, 512]
    # Output: red in all three planes.
    graph = helper.make_graph(
        [helper.make_node("Gather", ["input", "planes"], ["output"], axis=1)],
        "red",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [onnx.numpy_helper.from_array(np.zeros(3, np.int64), "planes")],
    )
    path = tmp_path / "red.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    crop = _crop()
    restored = AlignedRestorer(OnnxSession(path)).restore(crop, 0.7)
    assert np.abs(restored.astype(int) - crop[:, :, :1]).max() <= 1


def test_gpen_256_has_its_own_template_and_size(tmp_path: Path) -> None:
    shape = [1, 3, 256, 256]
    path = _written(tmp_path / "g.onnx", [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)], shape)
    restorer = AlignedRestorer(OnnxSession(path), ARCFACE_128, 256)
    crop = _crop()[:256, :256]
    assert (restorer.template.name, restorer.size) == ("arcface_128", 256)
    assert np.abs(restorer.restore(crop, 0.5).astype(int) - crop).max() <= 1
    with pytest.raises(InferenceError, match="256×256"):
        restorer.restore(_crop(), 0.5)


def test_half_precision_and_other_names_are_read_from_the_network(tmp_path: Path) -> None:
    shape, half = [1, 3, 512, 512], TensorProto.FLOAT16
    inputs = [
        helper.make_tensor_value_info("x", half, shape),
        helper.make_tensor_value_info("w", TensorProto.DOUBLE, []),
    ]
    restorer = AlignedRestorer(OnnxSession(_written(tmp_path / "c.onnx", inputs, shape, half)))
    crop = _crop()
    assert restorer.has_fidelity
    assert np.abs(restorer.restore(crop, 0.7).astype(int) - crop).max() <= 1


@pytest.mark.parametrize("shapes", [[[1, 3, 256, 256]], [[1, 512]], [[1, 4, 512, 512]], [[1, 3, 512, 512], [1, 512]]])
def test_another_network_is_refused_when_it_is_loaded(tmp_path: Path, shapes: list[list[int]]) -> None:
    inputs = [helper.make_tensor_value_info(f"i{n}", TensorProto.FLOAT, each) for n, each in enumerate(shapes)]
    with pytest.raises(ModelLoadError):
        AlignedRestorer(OnnxSession(_written(tmp_path / "n.onnx", inputs, shapes[0])))


def test_an_overflow_is_an_error_and_no_black_hole(tmp_path: Path) -> None:
    shape = [1, 3, 512, 512]
    graph = helper.make_graph(
        [helper.make_node("Log", ["input"], ["output"])],
        "nan",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
    )
    path = tmp_path / "nan.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    with pytest.raises(InferenceError, match="not numbers"):
        AlignedRestorer(OnnxSession(path)).restore(_crop(), 0.5)
