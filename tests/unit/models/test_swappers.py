"""Swappers and the identity map of inswapper, on graphs of the real form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from facecraft.errors import InferenceError, ModelLoadError
from facecraft.inference.onnx import OnnxSession
from facecraft.models.swappers import HyperSwap, InSwapper, read_emap

RNG = np.random.default_rng(11)
EMAP = RNG.standard_normal((512, 512)).astype(np.float32)
IDENTITY = RNG.standard_normal(512).astype(np.float32)
CROP = RNG.integers(0, 256, (128, 128, 3)).astype(np.uint8)


def inswapper(path: Path, *, order: str = "last", half: bool = False, name: str = "buff2fs") -> Path:
    """target → output; the source is added with weight zero plus, in the first row of red, its 128 first numbers."""
    emap = EMAP.astype(np.float16) if half else EMAP
    other = numpy_helper.from_array(np.zeros((512, 512), np.float32), "style.weight")
    tensors = {
        "last": [other, numpy_helper.from_array(emap, name)],
        "first": [numpy_helper.from_array(emap, name), other],
        "floats": [other, helper.make_tensor(name, TensorProto.FLOAT, (512, 512), EMAP.ravel())],
    }[order]
    pick = np.zeros((512, 128), np.float32)
    pick[np.arange(128), np.arange(128)] = 1
    row = np.zeros((1, 3, 128, 128), np.float32)
    row[0, 0, 0] = 1
    constants = [
        *tensors,
        numpy_helper.from_array(pick, "pick"),
        numpy_helper.from_array(row, "row"),
        numpy_helper.from_array(1 - row, "rest"),
        numpy_helper.from_array(np.array([1, 1, 1, 128], np.int64), "form"),
        numpy_helper.from_array(np.array(0.5, np.float32), "half"),
    ]
    if name != "buff2fs" or order == "first":
        constants = [*constants[2:], *constants[:2]] if order == "last" else constants
    nodes = [
        helper.make_node("MatMul", ["source", "style.weight"], ["style"]),
        helper.make_node("Add", ["source", "style"], ["styled"]),
        helper.make_node("MatMul", ["styled", "pick"], ["picked"]),
        helper.make_node("Reshape", ["picked", "form"], ["line"]),
        helper.make_node("Add", ["line", "half"], ["grey"]),
        helper.make_node("Mul", ["grey", "row"], ["painted"]),
        helper.make_node("Mul", ["target", "rest"], ["kept"]),
        helper.make_node("Add", ["kept", "painted"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "inswapper",
        [
            helper.make_tensor_value_info("target", TensorProto.FLOAT, [1, 3, 128, 128]),
            helper.make_tensor_value_info("source", TensorProto.FLOAT, [1, 512]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 3, 128, 128])],
        constants,
    )
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    )
    return path


@pytest.mark.parametrize("order", ["last", "first", "floats"])
@pytest.mark.parametrize("name", ["buff2fs", "initializer"])
def test_the_map_is_found_wherever_it_stands(tmp_path: Path, order: str, name: str) -> None:
    assert np.array_equal(read_emap(inswapper(tmp_path / "n.onnx", order=order, name=name)), EMAP)


def test_a_half_precision_map_becomes_float32(tmp_path: Path) -> None:
    emap = read_emap(inswapper(tmp_path / "n.onnx", half=True))
    assert emap.dtype == np.float32
    assert np.array_equal(emap, EMAP.astype(np.float16).astype(np.float32))


def test_a_file_without_the_map_is_refused(tmp_path: Path) -> None:
    # A simplified copy: the unused constant is gone, and the only square matrix left is a weight, in twos.
    model = onnx.load(inswapper(tmp_path / "n.onnx"))
    kept = [each for each in model.graph.initializer if each.name != "buff2fs"]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*kept, numpy_helper.from_array(EMAP, "other.weight")])
    model.graph.node.insert(0, helper.make_node("MatMul", ["source", "other.weight"], ["unused"]))
    (tmp_path / "n.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelLoadError, match="identity map"):
        read_emap(tmp_path / "n.onnx")


def test_inswapper_gets_the_mapped_identity_of_length_one(tmp_path: Path) -> None:
    path = inswapper(tmp_path / "n.onnx")
    swapped = InSwapper(OnnxSession(path, threads=1), read_emap(path)).swap(CROP, IDENTITY)
    latent = IDENTITY / np.linalg.norm(IDENTITY) @ EMAP
    latent /= np.linalg.norm(latent)
    # RGB in 0..1 in and out: everything but the painted line is the crop itself.
    assert np.array_equal(swapped.pixels[1:], CROP[1:])
    assert np.array_equal(swapped.pixels[0, :, 1:], CROP[0, :, 1:])
    line = np.clip(np.rint((latent[:128] + 0.5) * 255), 0, 255)
    assert np.abs(swapped.pixels[0, :, 0].astype(float) - line).max() <= 1
    assert swapped.mask is None
    scaled = InSwapper(OnnxSession(path, threads=1), read_emap(path)).swap(CROP, IDENTITY * 20)
    assert np.array_equal(scaled.pixels, swapped.pixels)


def hyperswap(path: Path) -> Path:
    """Source first, as in the published files: green and blue keep, red becomes the first number of the identity."""
    nodes = [
        helper.make_node("Slice", ["target", "one", "three", "axis"], ["rest"]),
        helper.make_node("Slice", ["target", "zero", "one", "axis"], ["red"]),
        helper.make_node("Mul", ["red", "nothing"], ["black"]),
        helper.make_node("Slice", ["source", "zero", "one", "axis"], ["first"]),
        helper.make_node("Reshape", ["first", "form"], ["number"]),
        helper.make_node("Add", ["black", "number"], ["painted"]),
        helper.make_node("Concat", ["painted", "rest"], ["output"], axis=1),
        helper.make_node("Add", ["black", "most"], ["mask"]),
    ]
    constants = [
        *(
            numpy_helper.from_array(np.array([n], np.int64), name)
            for n, name in ((0, "zero"), (1, "one"), (3, "three"))
        ),
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
        numpy_helper.from_array(np.array([1, 1, 1, 1], np.int64), "form"),
        numpy_helper.from_array(np.array(0, np.float32), "nothing"),
        numpy_helper.from_array(np.array(0.75, np.float32), "most"),
    ]
    graph = helper.make_graph(
        nodes,
        "hyperswap",
        [
            helper.make_tensor_value_info("source", TensorProto.FLOAT, [1, 512]),
            helper.make_tensor_value_info("target", TensorProto.FLOAT, [1, 3, 256, 256]),
        ],
        [
            helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 3, 256, 256]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, 256, 256]),
        ],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_hyperswap_gets_the_unit_identity_and_gives_a_mask(tmp_path: Path) -> None:
    crop = np.random.default_rng(2).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    swapped = HyperSwap(OnnxSession(hyperswap(tmp_path / "h.onnx"), threads=1)).swap(crop, IDENTITY)
    assert np.array_equal(swapped.pixels[:, :, 1:], crop[:, :, 1:])
    expected = (IDENTITY[0] / np.linalg.norm(IDENTITY) + 1) * 127.5
    assert np.abs(swapped.pixels[:, :, 0] - expected).max() <= 1
    assert swapped.mask is not None
    assert np.allclose(swapped.mask, 0.75)


def test_identities_of_another_form_and_other_networks_are_refused(tmp_path: Path) -> None:
    path = inswapper(tmp_path / "n.onnx")
    session = OnnxSession(path, threads=1)
    swapper = InSwapper(session, read_emap(path))
    for wrong in (np.ones(128, np.float32), np.zeros(512, np.float32), np.full(512, np.nan, np.float32)):
        with pytest.raises(InferenceError, match="512"):
            swapper.swap(CROP, wrong)
    with pytest.raises(InferenceError, match="128×128"):
        swapper.swap(CROP[:64], IDENTITY)
    with pytest.raises(ModelLoadError):
        HyperSwap(session)
    with pytest.raises(ModelLoadError, match="identity map"):
        InSwapper(session, EMAP[:100])
