"""Face parsing and occlusion on graphs of the real form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from facecraft.errors import ModelLoadError
from facecraft.faces.parts import FACE_PARTS, FacePart
from facecraft.imaging.labels import membership
from facecraft.inference.onnx import OnnxSession
from facecraft.models.parsers import BiSeNet, XSeg

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def bisenet(path: Path, batch: int | str, channel: int) -> Path:
    """The logit of class c is −(18 · colour − c)²: the label is the rounded colour of one plane, 0..1, times 18."""
    constants = [
        numpy_helper.from_array(np.array([channel], np.int64), "plane"),
        numpy_helper.from_array(np.array(STD[channel], np.float32), "std"),
        numpy_helper.from_array(np.array(MEAN[channel], np.float32), "mean"),
        numpy_helper.from_array(np.array(18, np.float32), "most"),
        numpy_helper.from_array(np.arange(19, dtype=np.float32).reshape(1, 19, 1, 1), "classes"),
    ]
    nodes = [
        helper.make_node("Gather", ["input", "plane"], ["one"], axis=1),
        helper.make_node("Mul", ["one", "std"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], ["color"]),
        helper.make_node("Mul", ["color", "most"], ["number"]),
        helper.make_node("Sub", ["number", "classes"], ["away"]),
        helper.make_node("Mul", ["away", "away"], ["square"]),
        helper.make_node("Neg", ["square"], ["output"]),
        helper.make_node("Identity", ["input"], ["head"]),
    ]
    graph = helper.make_graph(
        nodes,
        "bisenet",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, 512, 512])],
        [
            helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, 19, 512, 512]),
            helper.make_tensor_value_info("head", TensorProto.FLOAT, [batch, 3, 512, 512]),
        ],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def crops(count: int, side: int = 512) -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    return [rng.integers(0, 256, (side, side, 3)).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize("batch", [1, "batch"], ids=["one by one", "together"])
@pytest.mark.parametrize("channel", [0, 2], ids=["red", "blue"])
def test_labels_are_those_of_the_largest_logit(tmp_path: Path, batch: int | str, channel: int) -> None:
    parser = BiSeNet(OnnxSession(bisenet(tmp_path / "b.onnx", batch, channel), threads=1))
    given = crops(2)
    for labels, crop in zip(parser.parse(given), given, strict=True):
        assert labels.dtype == np.uint8
        number = crop[:, :, channel] / 255 * 18
        clear = np.abs(number % 1 - 0.5) > 0.01  # away from where two classes are equally likely
        assert np.array_equal(labels[clear], np.rint(number).astype(np.uint8)[clear])
    assert parser.parse([]) == ()


def test_crops_of_another_size_get_labels_of_their_own_size(tmp_path: Path) -> None:
    parser = BiSeNet(OnnxSession(bisenet(tmp_path / "b.onnx", 1, 0), threads=1))
    crop = np.zeros((256, 300, 3), np.uint8)
    crop[:, 150:] = 255
    (labels,) = parser.parse([crop])
    assert labels.shape == (256, 300)
    assert set(np.unique(labels[:, :145])) == {0}
    assert set(np.unique(labels[:, 155:])) == {18}


def test_soft_masks_fade_inwards_only() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[30:70, 30:70] = FacePart.SKIN
    labels[45:55, 45:55] = FacePart.NOSE
    mask = membership(labels, FACE_PARTS)
    assert mask[50, 50] == pytest.approx(1, abs=1e-3)
    assert (mask[labels == 0] == 0).all()
    assert 0 <= mask[31, 50] < 0.3
    assert membership(labels, [FacePart.HAIR]).max() == 0
    assert np.array_equal(membership(labels, [FacePart.NOSE], sigma=0) > 0, labels == FacePart.NOSE)


def test_xseg_is_shown_blue_first_in_rows_of_pixels(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Gather", ["input", "plane"], ["output"], axis=3)],
        "xseg",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 256, 256, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 256, 256, 1])],
        [numpy_helper.from_array(np.array([0], np.int64), "plane")],
    )
    path = tmp_path / "x.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    (crop,) = crops(1, 256)
    visible = XSeg(OnnxSession(path, threads=1)).visible(crop)
    assert np.abs(visible - crop[:, :, 2] / 255).max() < 1e-5


def test_another_network_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    session = OnnxSession(bisenet(tmp_path / "b.onnx", 1, 0), threads=1)
    with pytest.raises(ModelLoadError):
        XSeg(session)
    with pytest.raises(ModelLoadError):
        BiSeNet(session, 256)
