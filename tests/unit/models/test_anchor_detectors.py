"""SCRFD and RetinaFace over graphs whose outputs are known: boxes and landmarks land where they must."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facecraft.errors import ModelLoadError
from facecraft.imaging.image import Image
from facecraft.models.detectors import RetinaFace, Scrfd

NAMES = ("448", "471", "494", "451", "474", "497", "454", "477", "500")
FIVE = np.array([[-1.0, -1.5], [1.0, -1.5], [0.25, 0.0], [-0.5, 1.0], [0.5, 1.0]])
SIDES = np.array([2.0, 3.0, 2.5, 1.5])


def solid(width: int, height: int, rgb: tuple[int, int, int] = (0, 0, 0)) -> Image:
    return Image(np.full((height, width, 3), rgb, np.uint8))


def scrfd(
    graph: Any,
    path: Path,
    canvas: tuple[int, int],
    planted: Mapping[int, Mapping[tuple[int, int, int], float]],
    *,
    times: str | None = None,
    side: tuple[int | str, int | str] = ("?", "?"),
) -> Any:
    """det_10g with ``planted[stride][row, column, anchor] = score``; ``times``: what scores are multiplied by."""
    if not graph.inputs:
        graph.takes("input.1", [1, 3, *side])
    width, height = canvas
    groups: dict[str, np.ndarray] = {}
    for level, stride in enumerate((8, 16, 32)):
        across = width // stride
        count = across * (height // stride) * 2
        parts = [np.zeros((count, width)) for width in (1, 4, 10)]
        for (row, column, anchor), score in planted.get(stride, {}).items():
            index = (row * across + column) * 2 + anchor
            parts[0][index], parts[1][index], parts[2][index] = score, SIDES, FIVE.reshape(-1)
        groups.update({NAMES[level + 3 * kind]: part for kind, part in enumerate(parts)})
    for name in NAMES:
        values = graph.constant(groups[name])
        if times is not None and name in NAMES[:3]:
            graph.node("Mul", values, times, out=name)
        else:
            graph.node("Identity", values, out=name)
        graph.gives(name, groups[name].shape)
    return graph.session(path)


def test_scrfd_decodes_known_tensors_at_every_stride(graph: Any, tmp_path: Path) -> None:
    planted = {8: {(20, 30, 1): 0.9}, 16: {(3, 5, 0): 0.8}, 32: {(6, 2, 1): 0.7}}
    found = Scrfd(scrfd(graph, tmp_path / "det_10g.onnx", (640, 640), planted, side=(640, 640))).detect(solid(640, 640))
    centers = {8: (240, 160), 16: (80, 48), 32: (64, 192)}
    assert [round(face.score, 5) for face in found] == [0.9, 0.8, 0.7]
    for face, (stride, (x, y)) in zip(found, centers.items(), strict=True):
        expected = (x - 2 * stride, y - 3 * stride, x + 2.5 * stride, y + 1.5 * stride)
        assert (face.box.x1, face.box.y1, face.box.x2, face.box.y2) == pytest.approx(expected, abs=1e-4)
        assert face.landmarks == pytest.approx(FIVE * stride + (x, y), abs=1e-4)


def test_scrfd_maps_back_from_a_reduced_picture_on_a_canvas_of_its_shape(graph: Any, tmp_path: Path) -> None:
    # 1280×900 is reduced to 640×450, on a canvas of 640×480.
    session = scrfd(graph, tmp_path / "det_10g.onnx", (640, 480), {16: {(10, 5, 0): 0.8}})
    (face,) = Scrfd(session).detect(solid(1280, 900))
    assert face.landmarks == pytest.approx(((FIVE * 16 + (80, 160)) + 0.5) * 2 - 0.5, abs=1e-4)


def test_scrfd_drops_weak_and_doubled_faces(graph: Any, tmp_path: Path) -> None:
    planted = {16: {(3, 5, 0): 0.8, (3, 5, 1): 0.9, (20, 20, 0): 0.49}}
    session = scrfd(graph, tmp_path / "det_10g.onnx", (640, 640), planted)
    assert [round(face.score, 5) for face in Scrfd(session).detect(solid(640, 640))] == [0.9]
    assert len(Scrfd(session, min_score=0.4).detect(solid(640, 640))) == 2


@pytest.mark.parametrize(("channel", "expected"), [(0, (255 - 127.5) / 128), (1, (192 - 127.5) / 128)])
def test_scrfd_sees_rgb_over_128(graph: Any, tmp_path: Path, channel: int, expected: float) -> None:
    picture = graph.takes("input.1", [1, 3, "?", "?"])
    seen = graph.channel(graph.means(picture), channel)
    session = scrfd(graph, tmp_path / "det_10g.onnx", (320, 320), {8: {(9, 9, 0): 1.0}}, times=seen)
    (face,) = Scrfd(session).detect(solid(320, 320, (255, 192, 0)))
    assert face.score == pytest.approx(expected, abs=1e-5)


def test_scrfd_pads_with_black_pixels_on_the_right_and_below(graph: Any, tmp_path: Path) -> None:
    picture = graph.takes("input.1", [1, 3, "?", "?"])
    corner = graph.node("Slice", picture, *(graph.constant(v, np.int64) for v in ([-1, -1], [2**31, 2**31], [2, 3])))
    minus = graph.node("Neg", graph.channel(graph.means(corner), 0))
    session = scrfd(graph, tmp_path / "det_10g.onnx", (320, 320), {8: {(9, 9, 0): 1.0}}, times=minus)
    (face,) = Scrfd(session).detect(solid(300, 300, (255, 255, 255)))
    assert face.score == pytest.approx(127.5 / 128, abs=1e-5)


def test_nobody_gives_an_empty_answer(graph: Any, tmp_path: Path) -> None:
    assert Scrfd(scrfd(graph, tmp_path / "det_500m.onnx", (640, 640), {})).detect(solid(640, 640)) == ()


def retinaface(
    graph: Any,
    path: Path,
    canvas: tuple[int, int],
    planted: Mapping[int, float],
    *,
    times: str | None = None,
    last: tuple[int | str, ...] = (4, 2, 10),
) -> Any:
    """RetinaFace with ``planted[prior] = score``; every planted box is moved by (1, -1) and e^(0.2) wide."""
    if not graph.inputs:
        graph.takes("input", [1, 3, "height", "width"])
    width, height = canvas
    count = sum(-(-width // step) * -(-height // step) * 2 for step in (8, 16, 32))
    parts = {"loc": np.zeros((1, count, 4)), "conf": np.zeros((1, count, 2)), "landmarks": np.zeros((1, count, 10))}
    parts["conf"][..., 0] = 1
    for index, score in planted.items():
        parts["loc"][0, index] = (1.0, -1.0, 1.0, 0.0)
        parts["conf"][0, index] = (1 - score, score)
        parts["landmarks"][0, index] = FIVE.reshape(-1)
    for (name, values), width_of in zip(parts.items(), last, strict=True):
        constant = graph.constant(values)
        if times is not None and name == "conf":
            graph.node("Mul", constant, times, out=name)
        else:
            graph.node("Identity", constant, out=name)
        graph.gives(name, (1, "N", width_of))
    return graph.session(path)


@pytest.mark.parametrize("last", [(4, 2, 10), ("a", "b", "c")])
def test_retinaface_decodes_known_tensors_at_every_step(
    graph: Any, tmp_path: Path, last: tuple[int | str, ...]
) -> None:
    # On 640×480: 80×60 cells at 8, 40×30 at 16, 20×15 at 32, two priors in each.
    first = {8: 0, 16: 80 * 60 * 2, 32: 80 * 60 * 2 + 40 * 30 * 2}
    at = {8: (20, 30, 1, 32), 16: (3, 5, 0, 64), 32: (6, 12, 1, 512)}
    across = {8: 80, 16: 40, 32: 20}
    planted = {first[s] + (at[s][0] * across[s] + at[s][1]) * 2 + at[s][2]: 1 - s / 100 for s in at}
    session = retinaface(graph, tmp_path / "retinaface_mv2.onnx", (640, 480), planted, last=last)
    found = RetinaFace(session).detect(solid(640, 480))
    assert [round(face.score, 5) for face in found] == [0.92, 0.84, 0.68]
    for face, (step, (row, column, _, side)) in zip(found, at.items(), strict=True):
        x, y = (column + 0.5) * step, (row + 0.5) * step
        cx, cy, half_w, half_h = x + 0.1 * side, y - 0.1 * side, side * np.exp(0.2) / 2, side / 2
        expected = (cx - half_w, cy - half_h, cx + half_w, cy + half_h)
        assert (face.box.x1, face.box.y1, face.box.x2, face.box.y2) == pytest.approx(expected, abs=1e-3)
        assert face.landmarks == pytest.approx(FIVE * 0.1 * side + (x, y), abs=1e-3)


@pytest.mark.parametrize(
    ("bgr", "channel", "expected"),
    [(True, 0, (200 - 104) / 255), (True, 2, (255 - 123) / 255), (False, 0, (255 - 104) / 255)],
)
def test_retinaface_sees_bgr_minus_the_means(
    graph: Any, tmp_path: Path, bgr: bool, channel: int, expected: float
) -> None:
    picture = graph.takes("input", [1, 3, "height", "width"])
    seen = graph.node("Div", graph.channel(graph.means(picture), channel), graph.constant([255.0]))
    session = retinaface(graph, tmp_path / "retinaface_mv2.onnx", (320, 320), {900: 1.0}, times=seen)
    (face,) = RetinaFace(session, bgr=bgr, min_score=0.1).detect(solid(320, 320, (255, 0, 200)))
    assert face.score == pytest.approx(expected, abs=1e-5)


def test_a_detector_of_another_kind_is_refused(new_graph: Any, tmp_path: Path) -> None:
    retina = retinaface(new_graph(), tmp_path / "r.onnx", (320, 320), {})
    nine = scrfd(new_graph(), tmp_path / "s.onnx", (320, 320), {})
    six = new_graph()
    six.takes("input.1", [1, 3, "?", "?"])
    for index, name in enumerate(NAMES[:6]):
        six.node("Identity", six.constant(np.zeros((100, 1 if index < 3 else 4))), out=name)
        six.gives(name, (100, 1 if index < 3 else 4))
    with pytest.raises(ModelLoadError, match=r"not SCRFD with landmarks: it takes input \(1×3"):
        Scrfd(retina)
    with pytest.raises(ModelLoadError):
        Scrfd(six.session(tmp_path / "six.onnx"))
    with pytest.raises(ModelLoadError, match="not RetinaFace"):
        RetinaFace(nine)
