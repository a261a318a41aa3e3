"""Detectors decode known tensors to known boxes, and feed their networks the colors and ranges those were made for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from facecraft.imaging.geometry import Box, Points
from facecraft.imaging.image import Image, Pixels
from facecraft.inference.onnx import OnnxSession
from facecraft.inference.session import Tensor, TensorSpec
from facecraft.models.detectors import FULL_RANGE, SHORT_RANGE, BlazeFace, BlazeFaceVariant, DlibHog, YuNet


class ScriptedSession:
    """A network that says what it was told to say and keeps what it was given."""

    device = "cpu"
    size_bytes = 0

    def __init__(self, shape: tuple[int | None, ...], outputs: Mapping[str, Tensor]) -> None:
        self.inputs = (TensorSpec("in", shape, np.dtype(np.float32)),)
        self.outputs = tuple(TensorSpec(name, value.shape, value.dtype) for name, value in outputs.items())
        self._answers = outputs
        self.seen: list[Tensor] = []

    def run(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        self.seen.append(inputs["in"])
        return self._answers

    def close(self) -> None: ...


def _plain(width: int, height: int, color: tuple[int, int, int] = (0, 0, 0)) -> Image:
    return Image(np.full((height, width, 3), color, np.uint8))


# --- YuNet


def _yunet_tensors(side: int = 640) -> dict[str, NDArray[np.float32]]:
    tensors = {}
    for stride in (8, 16, 32):
        cells = (side // stride) ** 2
        for name, length in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            tensors[f"{name}_{stride}"] = np.zeros((1, cells, length), np.float32)
    return tensors


def _put_yunet(tensors: dict[str, NDArray[np.float32]], stride: int, row: int, column: int, score: float) -> None:
    """A box of 4 cells by 6, half a cell right of and a quarter below the corner of its cell."""
    cell = row * (640 // stride) + column
    tensors[f"cls_{stride}"][0, cell] = score
    tensors[f"obj_{stride}"][0, cell] = score
    tensors[f"bbox_{stride}"][0, cell] = [0.5, 0.25, np.log(4), np.log(6)]
    tensors[f"kps_{stride}"][0, cell] = np.arange(10) / 10


def _graph(folder: Path, tensors: Mapping[str, NDArray[np.float32]]) -> Path:
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, f"{name}_value"))
        for name, value in tensors.items()
    ]
    graph = helper.make_graph(
        nodes,
        "scripted",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = folder / "scripted.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_yunet_decodes_every_stride(tmp_path: Path, stride: int) -> None:
    tensors = _yunet_tensors()
    _put_yunet(tensors, stride, row=7, column=5, score=0.9)
    session = OnnxSession(_graph(tmp_path, tensors))
    (face,) = YuNet(session).detect(_plain(640, 640))
    session.close()
    x, y = 5.5 * stride, 7.25 * stride
    expected = [x - 2 * stride, y - 3 * stride, x + 2 * stride, y + 3 * stride]
    assert [face.box.x1, face.box.y1, face.box.x2, face.box.y2] == pytest.approx(expected, abs=1e-3)
    points = (np.array([5, 7]) + np.arange(10).reshape(5, 2) / 10) * stride
    assert face.landmarks == pytest.approx(points, abs=1e-3)
    assert face.score == pytest.approx(0.9, abs=1e-6)


def test_yunet_scores_are_the_geometric_mean_and_are_clipped() -> None:
    tensors = _yunet_tensors()
    _put_yunet(tensors, 8, 10, 10, 1.0)
    tensors["cls_8"][0, 10 * 80 + 10] = 1.7
    tensors["obj_8"][0, 10 * 80 + 10] = 0.49
    (face,) = YuNet(ScriptedSession((1, 3, 640, 640), tensors)).detect(_plain(640, 640))
    assert face.score == pytest.approx(0.7)


def test_yunet_keeps_one_box_of_a_group_and_the_best_first() -> None:
    tensors = _yunet_tensors()
    _put_yunet(tensors, 16, 10, 10, 0.8)
    _put_yunet(tensors, 16, 10, 11, 0.9)
    _put_yunet(tensors, 32, 15, 15, 0.95)
    _put_yunet(tensors, 8, 70, 10, 0.5)
    faces = YuNet(ScriptedSession((1, 3, 640, 640), tensors)).detect(_plain(640, 640))
    assert [round(face.score, 3) for face in faces] == [0.95, 0.9]


def test_yunet_sees_blue_first_unscaled_and_a_black_rest() -> None:
    session = ScriptedSession((1, 3, 640, 640), _yunet_tensors())
    assert YuNet(session).detect(_plain(1280, 640, (10, 20, 200))) == ()
    (seen,) = session.seen
    assert seen.dtype == np.float32
    assert seen.shape == (1, 3, 640, 640)
    assert seen[0, :, 0, 0].tolist() == [200, 20, 10]
    assert seen[0, :, 319, 639].tolist() == [200, 20, 10]
    assert not seen[0, :, 320:].any()


def test_yunet_boxes_come_back_in_pixels_of_a_large_picture() -> None:
    tensors = _yunet_tensors()
    _put_yunet(tensors, 32, 5, 5, 0.9)
    (face,) = YuNet(ScriptedSession((1, 3, 640, 640), tensors)).detect(_plain(2560, 1000))
    assert face.box.width == pytest.approx(4 * 4 * 32, abs=1e-3)
    assert face.box.center[0] == pytest.approx(4 * 5.5 * 32, abs=2)


def test_yunet_with_an_open_size_gets_the_shape_of_the_picture() -> None:
    session = ScriptedSession((1, 3, None, None), {})
    with pytest.raises(KeyError):
        YuNet(session).detect(_plain(1300, 650))
    assert session.seen[0].shape == (1, 3, 320, 640)


# --- BlazeFace

_SPREAD = [0.0, 0.0, 24.0, 24.0, -5, -4, 5, -4, 0, 0, 0, 5, -9, 0, 9, 0]


def _blaze_tensors(variant: BlazeFaceVariant, put: Mapping[int, float]) -> dict[str, NDArray[np.float32]]:
    count = sum((variant.side // stride) ** 2 * anchors for stride, anchors in variant.layers)
    regressors, logits = np.zeros((1, count, 16), np.float32), np.full((1, count, 1), -20, np.float32)
    for index, score in put.items():
        regressors[0, index] = _SPREAD
        logits[0, index] = np.log(score / (1 - score))
    return {variant.regressors: regressors, variant.logits: logits}


def _blaze(variant: BlazeFaceVariant, put: Mapping[int, float]) -> tuple[ScriptedSession, BlazeFace]:
    session = ScriptedSession((1, variant.side, variant.side, 3), _blaze_tensors(variant, put))
    return session, BlazeFace(session, variant)


@pytest.mark.parametrize(
    ("variant", "index", "center"),
    [
        (SHORT_RANGE, (3 * 16 + 5) * 2 + 1, (5.5 * 8, 3.5 * 8)),
        (SHORT_RANGE, 512 + (2 * 8 + 6) * 6 + 4, (6.5 * 16, 2.5 * 16)),
        (FULL_RANGE, 20 * 48 + 30, (30.5 * 4, 20.5 * 4)),
    ],
)
def test_blazeface_anchors_lie_layer_row_column(
    variant: BlazeFaceVariant, index: int, center: tuple[float, float]
) -> None:
    _, detector = _blaze(variant, {index: 0.9})
    (face,) = detector.detect(_plain(variant.side, variant.side))
    x, y = center[0] - 0.5, center[1] - 0.5  # from the edge of a pixel to its center
    assert face.box == Box(
        pytest.approx(x - 12, abs=1e-4), pytest.approx(y - 12, abs=1e-4), pytest.approx(x + 12, abs=1e-4),
        pytest.approx(y + 12, abs=1e-4),
    )  # fmt: skip
    assert face.landmarks[:3] == pytest.approx(np.array([[x - 5, y - 4], [x + 5, y - 4], [x, y]]), abs=1e-4)
    assert face.landmarks[3:].mean(axis=0) == pytest.approx([x, y + 5], abs=1e-4)
    assert face.landmarks[4, 0] - face.landmarks[3, 0] == pytest.approx(8.28, abs=1e-3)
    assert face.score == pytest.approx(0.9, abs=1e-6)


def test_blazeface_blends_overlapping_boxes_by_score() -> None:
    row = 20 * 48 + 30
    _, detector = _blaze(FULL_RANGE, {row: 0.9, row + 1: 0.65, row + 15: 0.7})
    best, other = detector.detect(_plain(192, 192))
    # The neighbour stands 4 pixels further right and weighs 0.65 of 1.55.
    assert best.box.center[0] == pytest.approx(30.5 * 4 - 0.5 + 4 * 0.65 / 1.55, abs=1e-4)
    assert best.landmarks[2, 0] == pytest.approx(30.5 * 4 - 0.5 + 4 * 0.65 / 1.55, abs=1e-4)
    assert (best.score, other.score) == (pytest.approx(0.9), pytest.approx(0.7))


def test_blazeface_refuses_scores_below_that_of_its_variant() -> None:
    assert len(_blaze(SHORT_RANGE, {8: 0.55})[1].detect(_plain(128, 128))) == 1
    assert _blaze(FULL_RANGE, {8: 0.55})[1].detect(_plain(192, 192)) == ()


def test_blazeface_sees_red_first_from_minus_one_to_one_in_a_black_letterbox() -> None:
    session, detector = _blaze(SHORT_RANGE, {})
    detector.detect(_plain(400, 200, (255, 51, 0)))
    (seen,) = session.seen
    assert (seen.shape, seen.dtype) == ((1, 128, 128, 3), np.float32)
    assert seen[0, 64, 64] == pytest.approx([1.0, -0.6, -1.0], abs=1e-6)
    assert seen[0, 33, 0] == pytest.approx([1.0, -0.6, -1.0], abs=1e-6)
    assert (seen[0, :32] == -1).all()
    assert (seen[0, 96:] == -1).all()


def test_blazeface_undoes_its_letterbox() -> None:
    _, detector = _blaze(SHORT_RANGE, {512 + (2 * 8 + 6) * 6: 0.9})
    (face,) = detector.detect(_plain(512, 256))
    # 32 rows of border above the picture, which is a quarter of its size.
    assert face.box.center == (pytest.approx(6.5 * 16 * 4 - 0.5), pytest.approx((2.5 * 16 - 32) * 4 - 0.5))
    assert face.box.width == pytest.approx(96)


# --- dlib's detector


class ScriptedFinder:
    def __init__(self, found: list[tuple[Box, float]]) -> None:
        self._found = found
        self.seen: list[Pixels] = []

    def detect(self, rgb: Pixels, upsample: int = 0, threshold: float = 0.0) -> list[tuple[Box, float]]:  # noqa: ARG002
        self.seen.append(rgb)
        return self._found


class ScriptedPredictor:
    def __init__(self, points: Callable[[Box], Points]) -> None:
        self._points = points

    def predict(self, rgb: Pixels, box: Box) -> NDArray[np.float64]:  # noqa: ARG002
        return self._points(box)


def test_dlib_boxes_come_back_in_pixels_of_a_large_picture_best_first() -> None:
    finder = ScriptedFinder([(Box(100, 100, 200, 200), 0.2), (Box(300, 100, 420, 220), 2.0)])
    best, other = DlibHog(finder, max_side=800).detect(_plain(1600, 800))
    assert finder.seen[0].shape == (400, 800, 3)
    assert best.box.width == pytest.approx(240)
    assert best.score > other.score
    assert best.box.x1 < best.landmarks[0, 0] < best.landmarks[1, 0] < best.box.x2


def test_dlib_eye_corners_become_eyes_on_the_right_sides() -> None:
    corners = np.array([[180.0, 130], [160, 130], [110, 130], [130, 130], [145, 160]])
    finder = ScriptedFinder([(Box(100, 100, 200, 200), 1.0)])
    (face,) = DlibHog(finder, ScriptedPredictor(lambda _: corners)).detect(_plain(400, 400))
    assert face.landmarks[:2] == pytest.approx(np.array([[120, 130], [170, 130]]))
    assert face.landmarks[2, 1] < 160 < face.landmarks[3, 1]
    assert face.landmarks[3, 0] < face.landmarks[4, 0]
