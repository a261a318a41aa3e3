from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facecraft.errors import DeviceMemoryError, InferenceError, ModelLoadError, ProviderUnavailableError
from facecraft.inference import ort
from facecraft.inference.devices import Device
from facecraft.inference.onnx import OnnxSession

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto


def save(path: Path, nodes: list[object], inputs: list[object], outputs: list[object], weights: list[object]) -> Path:
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def floats(name: str, *shape: int | str) -> object:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def with_outside_weights(path: Path, location: str) -> Path:
    weight = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "16"}.items():
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    return save(path, [helper.make_node("Add", ["x", "w"], ["y"])], [floats("x", 4)], [floats("y", 4)], [weight])


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x08\x12" * 50])
def test_a_broken_file_is_a_load_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelLoadError, match=r"broken\.onnx"):
        OnnxSession(path)


def test_a_missing_file_is_a_load_error(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"none\.onnx cannot be read"):
        OnnxSession(tmp_path / "none.onnx")


def test_weights_are_read_beside_the_model_and_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    for each in (folder / "near.onnx.data", tmp_path / "secret.bin"):
        np.full(4, 3, np.float32).tofile(each)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    near = OnnxSession(with_outside_weights(folder / "near.onnx", "near.onnx.data"))
    assert near.run({"x": np.ones(4, np.float32)})["y"].tolist() == [4, 4, 4, 4]
    assert near.size_bytes == (folder / "near.onnx").stat().st_size + 16
    for location in ("../secret.bin", str(tmp_path / "secret.bin"), "link.bin"):
        with pytest.raises(ModelLoadError):
            OnnxSession(with_outside_weights(folder / "far.onnx", location))


def test_open_and_named_sides_are_none(tmp_path: Path) -> None:
    path = save(
        tmp_path / "open.onnx",
        [helper.make_node("Identity", ["x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["batch", 3, None])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, ["batch", 3, None])],
        [],
    )
    session = OnnxSession(path)
    assert session.inputs[0].shape == (None, 3, None)
    assert session.inputs[0].dtype == np.int64
    assert str(session.inputs[0]) == "x (?×3×? int64)"


def test_a_network_that_takes_no_numbers_is_a_load_error(tmp_path: Path) -> None:
    path = save(
        tmp_path / "text.onnx",
        [helper.make_node("Identity", ["x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.STRING, [1])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [1])],
        [],
    )
    with pytest.raises(ModelLoadError):
        OnnxSession(path)


def test_what_fails_inside_the_network_is_an_inference_error_and_the_session_lives(tmp_path: Path) -> None:
    path = save(
        tmp_path / "shapes.onnx",
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [floats("a", "n"), floats("b", "m")],
        [floats("y", "k")],
        [],
    )
    session = OnnxSession(path)
    one, three, four = (np.ones(n, np.float32) for n in (1, 3, 4))
    with pytest.raises(InferenceError, match=r"shapes\.onnx could not run"):
        session.run({"a": three, "b": four})
    assert session.run({"a": one, "b": four})["y"].tolist() == [2, 2, 2, 2]


def test_no_memory_is_said_as_such(tmp_path: Path) -> None:
    path = save(
        tmp_path / "huge.onnx",
        [helper.make_node("Expand", ["x", "shape"], ["y"])],
        [floats("x", 1), helper.make_tensor_value_info("shape", TensorProto.INT64, [2])],
        [floats("y", "h", "w")],
        [],
    )
    session = OnnxSession(path)
    with pytest.raises(DeviceMemoryError):
        session.run({"x": np.ones(1, np.float32), "shape": np.array([2**24, 2**22], np.int64)})


@pytest.mark.skipif(
    ort.CUDA_PROVIDER in onnxruntime.get_available_providers(), reason="this build of ONNX Runtime has CUDA"
)
def test_a_gpu_that_is_not_there_never_becomes_the_cpu(tmp_path: Path) -> None:
    path = save(tmp_path / "any.onnx", [helper.make_node("Relu", ["x"], ["y"])], [floats("x", 1)], [floats("y", 1)], [])
    with pytest.raises(ProviderUnavailableError, match="cuda:1 is not available"):
        OnnxSession(path, device=Device("cuda", 1))


def test_options_for_the_gpu() -> None:
    (name, cuda), cpu = ort.providers(3, 2**30)
    assert (name, cpu) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert cuda == {
        "device_id": "3",
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "gpu_mem_limit": str(2**30),
    }
    assert ort.providers(None) == ["CPUExecutionProvider"]


def test_nothing_is_written_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # The stated output shape is wrong, about which ONNX Runtime likes to warn.
    path = save(
        tmp_path / "warns.onnx", [helper.make_node("Relu", ["x"], ["y"])], [floats("x", "n")], [floats("y", 7)], []
    )
    session = OnnxSession(path)
    session.run({"x": np.ones(3, np.float32)})
    with pytest.raises(InferenceError):
        session.run({"x": np.ones((3, 1), np.float32)})
    assert capfd.readouterr() == ("", "")


def test_the_probe_network_is_a_network() -> None:
    session = onnxruntime.InferenceSession(ort._RELU, providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.array([-1], np.float32)})[0].tolist() == [0]
