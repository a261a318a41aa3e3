"""Restorers, proven on tiny graphs with the real names, shapes, types and ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

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


@pytest.mark.parametrize("fidelity", [0.0, 0.5, 1.0])
def test_fidelity_blends_networks_that_have_no_such_input(tmp_path: Path, fidelity: float) -> None:
    shape = [1, 3, 512, 512]
    graph = helper.make_graph(
        [helper.make_node("Neg", ["input"], ["output"])],
        "negative",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
    )
    path = tmp_path / "negative.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    crop = _crop()
    restored = AlignedRestorer(OnnxSession(path)).restore(crop, fidelity)
    expected = (1 - fidelity) * (255.0 - crop) + fidelity * crop
    assert np.abs(restored - expected).max() <= 1
