"""Embedders, landmarkers, attributes and quality over graphs whose outputs tell what the network saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facecraft.errors import InferenceError, ModelLoadError
from facecraft.faces.alignment import ARCFACE_112, FFHQ_512
from facecraft.faces.attributes import Attributes
from facecraft.faces.face import Face
from facecraft.faces.landmarks import five_points
from facecraft.imaging.geometry import Box, Transform
from facecraft.imaging.image import Image
from facecraft.models.attributes import FAIRFACE_CLASSES, FAIRFACE_LOGITS, FairFace, GenderAge
from facecraft.models.embedders import ARCFACE, SFACE, AlignedEmbedder, aligned_112
from facecraft.models.landmarkers import (
    POINTS_68,
    POINTS_106,
    FaceAlignmentNetwork,
    FivePointGuess,
    InsightLandmarker,
)
from facecraft.models.quality import Ediffiqa

BATCH = "batch"


def solid(rgb: tuple[int, int, int], side: int = 400) -> Image:
    return Image(np.full((side, side, 3), rgb, np.uint8))


def face_at(x: float = 200, y: float = 200, *, scale: float = 1.5, degrees: float = 0.0) -> Face:
    """A face in the ArcFace position, ``scale`` times 112 pixels large, turned, in a square box around it."""
    place = Transform.similarity(scale=scale, degrees=degrees, source=(56, 56), target=(x, y))
    half = 56 * scale
    upright = ARCFACE_112.scaled(112)
    upright[:2, 1] = upright[:2, 1].mean()  # the template's own eyes are a third of a degree off
    return Face(Box(x - half, y - half, x + half, y + half), 0.9, place(upright))


def noise(seed: int = 5, side: int = 400) -> Image:
    return Image(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8))


# --- embedders ------------------------------------------------------------------------------------------------------


def embedder(
    graph: Any, path: Path, batch: int | str = BATCH, *, names: tuple[str, str] = ("input.1", "683"), cells: int = 16
) -> Any:
    """N×3×112×112 in; out the red and the green plane that the network saw, ``cells``² numbers each."""
    picture = graph.takes(names[0], [batch, 3, 112, 112])
    step = 112 // cells
    pooled = graph.node("AveragePool", picture, kernel_shape=[step, step], strides=[step, step])
    rows = graph.node("Flatten", pooled, axis=1)
    count = 2 * cells * cells
    graph.node("Slice", rows, *(graph.constant(v, np.int64) for v in ([0], [count], [1])), out=names[1])
    graph.gives(names[1], [batch, count])
    return graph.session(path)


def arcface(graph: Any, tmp_path: Path, batch: int | str = BATCH) -> Any:
    return embedder(graph, tmp_path / "w600k_r50.onnx", batch)


def test_embeddings_are_unit_vectors_of_an_upright_crop_of_either_network(graph: Any, tmp_path: Path) -> None:
    pixels = np.zeros((400, 400, 3), np.uint8)
    face = face_at(210, 190, degrees=25)
    x, y = face.landmarks[0].round().astype(int)
    pixels[y - 4 : y + 5, x - 4 : x + 5, 0] = 255  # a red image-left eye
    adapter = AlignedEmbedder(arcface(graph, tmp_path), ARCFACE, "arcface_w600k_r50")
    vectors = adapter.embed(Image(pixels), [face])
    assert vectors.shape == (1, 512)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1.0], abs=1e-6)
    red, green = vectors[0].reshape(2, 16, 16)
    # The eye stands at (38.3, 51.7) of 112 pixels: column 5, row 7 of 7-pixel cells.
    assert np.unravel_index(red.argmax(), red.shape) == (7, 5)
    assert np.ptp(green) == pytest.approx(0, abs=1e-6)


def test_arcface_scales_around_zero_and_sface_leaves_the_levels(new_graph: Any, tmp_path: Path) -> None:
    image, face = solid((200, 100, 30)), face_at()
    arc = AlignedEmbedder(arcface(new_graph(), tmp_path), ARCFACE, "a").embed(image, [face])[0]
    assert arc[0] / arc[-1] == pytest.approx((200 - 127.5) / (100 - 127.5), rel=1e-5)
    session = embedder(new_graph(), tmp_path / "sface.onnx", 1, names=("data", "fc1"), cells=8)
    vector = AlignedEmbedder(session, SFACE, "sface").embed(image, [face])[0]
    assert vector.shape == (128,)
    assert vector[0] / vector[-1] == pytest.approx(2.0, rel=1e-5)


def test_all_faces_go_in_one_run_and_each_gets_what_it_would_get_alone(new_graph: Any, tmp_path: Path) -> None:
    image = noise()
    faces = [face_at(150, 150), face_at(250, 220, degrees=-30), face_at(200, 260, scale=0.8)]
    open_side = arcface(new_graph(), tmp_path)
    together = AlignedEmbedder(open_side, ARCFACE, "a").embed(image, faces)
    assert open_side.rows == [3]
    single = [AlignedEmbedder(open_side, ARCFACE, "a").embed(image, [face])[0] for face in faces]
    assert np.array_equal(together, np.stack(single))
    fixed = embedder(new_graph(), tmp_path / "fixed.onnx", 1)
    assert np.array_equal(AlignedEmbedder(fixed, ARCFACE, "a").embed(image, faces), together)
    assert fixed.rows == [1, 1, 1]
    assert AlignedEmbedder(fixed, ARCFACE, "a").embed(image, []).shape == (0, 512)


def test_a_crowd_goes_in_several_runs_of_bounded_size(graph: Any, tmp_path: Path) -> None:
    session = arcface(graph, tmp_path)
    vectors = AlignedEmbedder(session, ARCFACE, "a").embed(noise(), [face_at(100 + 2 * i, 200) for i in range(70)])
    assert session.rows == [32, 32, 6]
    assert vectors.shape == (70, 512)


def test_an_open_batch_side_that_is_not_meant_costs_speed_only(new_graph: Any, tmp_path: Path) -> None:
    image, faces = noise(), [face_at(150, 150), face_at(250, 220)]
    graph = new_graph()
    picture = graph.takes("data", [BATCH, 3, 96, 96])
    graph.node("Reshape", graph.means(picture), graph.constant([1, 3], np.int64), out="fc1")
    graph.gives("fc1", [1, 3])
    found = GenderAge(graph.session(tmp_path / "folded.onnx")).describe(image, faces)
    assert len(found) == 2
    summed = new_graph()
    picture = summed.takes("data", [BATCH, 3, 96, 96])
    summed.node("ReduceMean", picture, out="fc1", axes=[0, 2, 3], keepdims=0)
    summed.gives("fc1", [3])
    with pytest.raises(ModelLoadError):
        GenderAge(summed.session(tmp_path / "summed.onnx"))


def test_a_network_that_gives_other_numbers_than_it_said_is_an_error(graph: Any, tmp_path: Path) -> None:
    picture = graph.takes("data", [1, 3, 192, 192])
    graph.node("Cast", graph.node("NonZero", graph.means(picture)), out="fc1", to=1)
    graph.gives("fc1", ["a", "b"])
    with pytest.raises(InferenceError, match="gave 2×3 values instead of 106×2"):
        InsightLandmarker(graph.session(tmp_path / "x.onnx"), POINTS_106).locate(noise(), face_at())


def test_crops_are_black_where_the_picture_ends() -> None:
    crop = aligned_112(solid((255, 255, 255)), face_at(0, 200))
    assert not crop[:, :50].any()
    assert (crop[:, 62:] == 255).all()


def test_a_vector_without_length_is_an_error(graph: Any, tmp_path: Path) -> None:
    session = embedder(graph, tmp_path / "sface.onnx", 1, names=("data", "fc1"), cells=8)
    with pytest.raises(InferenceError, match="sface gave an empty vector"):
        AlignedEmbedder(session, SFACE, "sface").embed(solid((0, 0, 0)), [face_at()])


# --- landmarkers ----------------------------------------------------------------------------------------------------


def insight(graph: Any, path: Path, points: np.ndarray, *, seen: int | None = None) -> Any:
    """``data`` → ``fc1``: constant points; with ``seen`` the first number is the mean of that channel over 255."""
    picture = graph.takes("data", ["None", 3, 192, 192])
    flat = points.reshape(1, -1).astype(np.float32)
    values = graph.constant(flat)
    if seen is not None:
        mask = np.zeros_like(flat)
        mask[0, 0] = 1 / 255
        level = graph.node("Mul", graph.channel(graph.means(picture), seen), graph.constant(mask))
        values = graph.node("Add", values, level)
    graph.node("Identity", values, out="fc1")
    graph.gives("fc1", [1, flat.shape[1]])
    return graph.session(path)


def test_106_points_undo_the_crop_of_one_and_a_half_boxes(graph: Any, tmp_path: Path) -> None:
    points = np.zeros((106, 2))
    points[0], points[1], points[38], points[88] = (-1, -1), (1, 0), (-0.2, -0.1), (0.2, -0.1)
    points[86], points[52], points[61] = (0, 0.1), (-0.15, 0.3), (0.15, 0.3)
    face = face_at(220, 180)
    dense = InsightLandmarker(insight(graph, tmp_path / "2d106det.onnx", points), POINTS_106).locate(noise(), face)
    assert dense is not None
    assert dense.scheme == "insight106"
    assert dense.points.shape == (106, 3)
    half = 0.75 * 168
    assert dense.points[0] == pytest.approx((220 - half, 180 - half, 0), abs=1e-6)
    assert dense.points[1] == pytest.approx((220 + half, 180, 0), abs=1e-6)
    five = points[[38, 88, 86, 52, 61]] * half + (220, 180)
    assert five_points(dense) == pytest.approx(five, abs=1e-4)


def test_the_crop_turns_with_the_face(graph: Any, tmp_path: Path) -> None:
    points = np.zeros((106, 2))
    points[0] = (1, 0)
    face = face_at(200, 200, degrees=90)
    dense = InsightLandmarker(insight(graph, tmp_path / "2d106det.onnx", points), POINTS_106).locate(noise(), face)
    assert dense is not None
    assert dense.points[0, :2] == pytest.approx((200, 200 + 0.75 * 168), abs=0.5)


@pytest.mark.parametrize(("channel", "level"), [(0, 204), (1, 102), (2, 51)])
def test_106_points_see_raw_rgb(graph: Any, tmp_path: Path, channel: int, level: int) -> None:
    session = insight(graph, tmp_path / "2d106det.onnx", np.zeros((106, 2)), seen=channel)
    dense = InsightLandmarker(session, POINTS_106).locate(solid((204, 102, 51)), face_at(200, 200))
    assert dense is not None
    assert dense.points[0, 0] == pytest.approx(200 + level / 255 * 0.75 * 168, abs=1e-4)


def test_68_points_with_depth_are_the_last_rows_in_the_scale_of_the_picture(graph: Any, tmp_path: Path) -> None:
    points = np.full((1103, 3), 9.0)
    points[-68:] = 0
    points[-68], points[-1] = (-1, 1, 0.5), (1, -1, -0.25)
    face = face_at(200, 200)
    dense = InsightLandmarker(insight(graph, tmp_path / "1k3d68.onnx", points), POINTS_68).locate(noise(), face)
    assert dense is not None
    assert dense.scheme == "ibug68"
    half = 0.75 * 168
    assert dense.points[0] == pytest.approx((200 - half, 200 + half, 0.5 * half), abs=1e-5)
    assert dense.points[-1] == pytest.approx((200 + half, 200 - half, -0.25 * half), abs=1e-5)


def fan(graph: Any, path: Path, peak: float) -> Any:
    """2dfan4: the first point stands at (mean of the first channel × 64, 32); every heat map has one ``peak``."""
    picture = graph.takes("input", [1, 3, 256, 256])
    points = np.zeros((1, 68, 3), np.float32)
    points[0, :, 1] = 32
    mask = np.zeros_like(points)
    mask[0, 0, 0] = 64
    moved = graph.node("Mul", graph.channel(graph.means(picture), 0), graph.constant(mask))
    graph.node("Add", graph.constant(points), moved, out="landmarks")
    maps = np.zeros((1, 68, 64, 64), np.float32)
    maps[0, :, 7, 9] = peak
    graph.node("Identity", graph.constant(maps), out="heatmaps")
    graph.gives("landmarks", [1, 68, 3])
    graph.gives("heatmaps", [1, 68, 64, 64])
    return graph.session(path)


def test_2dfan_sees_bgr_up_to_one_and_answers_on_a_grid_of_64(graph: Any, tmp_path: Path) -> None:
    face = face_at(200, 180)
    dense = FaceAlignmentNetwork(fan(graph, tmp_path / "2dfan4.onnx", 0.72)).locate(solid((0, 0, 51)), face)
    assert dense is not None
    assert dense.scheme == "ibug68"
    assert dense.score == pytest.approx(0.8)
    scale = 195 / 168
    # Blue is 0.2: 12.8 of 64 cells is pixel 51.2 of 256; the box lies in the middle, at pixel 128.
    assert dense.points[0] == pytest.approx((200 + (51.2 - 128) / scale, 180, 0), abs=0.02)


def test_2dfan_without_peaks_says_there_is_no_face(graph: Any, tmp_path: Path) -> None:
    session = fan(graph, tmp_path / "2dfan4.onnx", 0.3)
    assert FaceAlignmentNetwork(session).locate(noise(), face_at()) is None
    found = FaceAlignmentNetwork(session, min_score=0.3).locate(noise(), face_at())
    assert found is not None
    assert found.score == pytest.approx(1 / 3)


def test_68_points_from_five_go_through_the_ffhq_position_and_back(graph: Any, tmp_path: Path) -> None:
    given = graph.takes("input", [1, 5, 2])
    rest = graph.constant(np.tile(np.array([[0.5, 0.25]], np.float32), (63, 1))[None])
    graph.node("Concat", given, rest, out="output", axis=1)
    graph.gives("output", [1, 68, 2])
    place = Transform.similarity(scale=0.5, degrees=40, source=(256, 256), target=(200, 200))
    five = place(FFHQ_512.scaled(512))
    dense = FivePointGuess(graph.session(tmp_path / "fan_68_5.onnx")).locate(
        noise(), Face(Box(100, 100, 300, 300), 0.9, five)
    )
    assert dense is not None
    assert dense.points[:5, :2] == pytest.approx(five, abs=1e-3)
    assert dense.points[5, :2] == pytest.approx(place(np.array([[256.0, 128.0]]))[0], abs=1e-3)


# --- attributes and quality -----------------------------------------------------------------------------------------


def genderage(graph: Any, path: Path, batch: int | str = "None") -> Any:
    """``data`` → ``fc1``: the means of red, blue and green over 255."""
    picture = graph.takes("data", [batch, 3, 96, 96])
    levels = graph.node("Div", graph.channel(graph.means(picture), 0, 2, 1), graph.constant([255.0]))
    graph.node("Identity", levels, out="fc1")
    graph.gives("fc1", [batch, 3])
    return graph.session(path)


def test_genderage_sees_raw_rgb_and_reads_sex_and_years(new_graph: Any, tmp_path: Path) -> None:
    adapter = GenderAge(genderage(new_graph(), tmp_path / "genderage.onnx"))
    assert adapter.describe(solid((204, 102, 51)), [face_at()]) == (Attributes(age=40, sex="female"),)
    assert adapter.describe(solid((51, 77, 204)), [face_at()]) == (Attributes(age=30, sex="male"),)
    assert adapter.describe(solid((0, 0, 0)), []) == ()


def test_genderage_describes_all_faces_in_one_run(new_graph: Any, tmp_path: Path) -> None:
    pixels = np.zeros((400, 400, 3), np.uint8)
    pixels[:, :200, 0], pixels[:, 200:, 2] = 255, 255
    faces = [face_at(80, 200, scale=0.5), face_at(320, 200, scale=0.5)]
    session = genderage(new_graph(), tmp_path / "genderage.onnx")
    together = GenderAge(session).describe(Image(pixels), faces)
    assert [each.sex for each in together] == ["female", "male"]
    assert session.rows == [2]
    fixed = genderage(new_graph(), tmp_path / "fixed.onnx", 1)
    assert GenderAge(fixed).describe(Image(pixels), faces) == together
    assert fixed.rows == [1, 1]


def fairface(graph: Any, path: Path, *, classes: bool = False) -> Any:
    """Sex from the means of red and green, age from red 10 times; the race output is not a number."""
    picture = graph.takes("input", ["batch_size" if not classes else 1, 3, 224, 224])
    means = graph.means(picture)
    ages = graph.node("MatMul", means, graph.constant(np.eye(3, 9, 4) * 2.0))  # red → 4, green → 5, blue → 6
    sexes = graph.channel(means, 0, 1)
    if classes:
        for name, rows in (("race_id", ages), ("gender_id", sexes), ("age_id", ages)):
            graph.node("ArgMax", rows, out=name, axis=1, keepdims=0)
            graph.gives(name, [1], 7)
        return graph.session(path)
    nothing = graph.constant(np.full((1, 7), np.nan))
    graph.node("Add", graph.channel(means, *([0] * 7)), nothing, out="race_output")
    graph.node("Identity", sexes, out="gender_output")
    graph.node("Identity", ages, out="age_output")
    for name, width in (("race_output", 7), ("gender_output", 2), ("age_output", 9)):
        graph.gives(name, ["batch_size", width])
    return graph.session(path)


def test_fairface_sees_imagenet_rgb_and_never_reads_the_race(graph: Any, tmp_path: Path) -> None:
    session = fairface(graph, tmp_path / "fairface.onnx")
    image, faces = solid((255, 128, 0)), [face_at(180, 180), face_at(220, 220)]
    both = FairFace(session, FAIRFACE_LOGITS).describe(image, faces)
    assert session.rows == [2]
    assert both[0] == both[1]
    red, green, blue = (1 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, -0.406 / 0.225
    powers = np.exp([0, 0, 0, 0, 2 * red, 2 * green, 2 * blue, 0, 0])
    assert both[0].sex == "male"
    assert both[0].sex_score == pytest.approx(np.exp(red) / (np.exp(red) + np.exp(green)), abs=1e-4)
    assert both[0].age_range == (30, 39)
    assert both[0].age_score == pytest.approx(powers[4] / powers.sum(), abs=1e-4)
    assert both[0].age is None


def test_the_export_with_classes_gives_no_scores(graph: Any, tmp_path: Path) -> None:
    session = fairface(graph, tmp_path / "ff_fairface.onnx", classes=True)
    found = FairFace(session, FAIRFACE_CLASSES).describe(solid((0, 255, 0)), [face_at(), face_at(180, 180)])
    assert found == (Attributes(age_range=(40, 49), sex="female"),) * 2
    assert session.rows == [1, 1]


def test_quality_is_one_number_for_each_face(new_graph: Any, tmp_path: Path) -> None:
    def network(batch: int | str) -> Any:
        graph = new_graph()
        picture = graph.takes("input", [batch, 3, 112, 112])
        graph.node("Identity", graph.channel(graph.means(picture), 0), out="output")
        graph.gives("output", [batch, 1])
        return graph.session(tmp_path / f"ediffiqa_{batch}.onnx")

    pixels = np.zeros((400, 400, 3), np.uint8)
    pixels[:, :200, 0], pixels[:, 200:, 2] = 204, 255
    faces = [face_at(80, 200, scale=0.5), face_at(320, 200, scale=0.5)]
    for batch, rows in ((1, [1, 1]), (BATCH, [2])):
        session = network(batch)
        scores = Ediffiqa(session).score(Image(pixels), faces)
        assert scores.dtype == np.float32
        assert scores == pytest.approx([(204 - 127.5) / 127.5, -1.0], abs=1e-5)
        assert session.rows == rows
        assert Ediffiqa(session).score(Image(pixels), []).shape == (0,)


# --- wrong graphs ---------------------------------------------------------------------------------------------------


def test_a_network_of_another_kind_is_refused_by_all(new_graph: Any, tmp_path: Path) -> None:
    recognizer = arcface(new_graph(), tmp_path)
    sexes = genderage(new_graph(), tmp_path / "genderage.onnx")
    fair = fairface(new_graph(), tmp_path / "fairface.onnx")
    ids = fairface(new_graph(), tmp_path / "ff_fairface.onnx", classes=True)
    points = insight(new_graph(), tmp_path / "2d106det.onnx", np.zeros((106, 2)))
    heat = fan(new_graph(), tmp_path / "2dfan4.onnx", 1.0)
    refused = [
        lambda: AlignedEmbedder(sexes, ARCFACE, "a"),
        lambda: AlignedEmbedder(fair, SFACE, "a"),
        lambda: GenderAge(points),
        lambda: GenderAge(recognizer),
        lambda: FairFace(ids, FAIRFACE_LOGITS),
        lambda: FairFace(fair, FAIRFACE_CLASSES),
        lambda: FairFace(heat, FAIRFACE_LOGITS),
        lambda: InsightLandmarker(points, POINTS_68),
        lambda: InsightLandmarker(sexes, POINTS_106),
        lambda: FaceAlignmentNetwork(points),
        lambda: FivePointGuess(heat),
        lambda: Ediffiqa(recognizer),
        lambda: Ediffiqa(sexes),
    ]
    for build in refused:
        with pytest.raises(ModelLoadError, match=r"This network is not .* it takes .* and gives") as caught:
            build()
        assert "facecraft models verify" in (caught.value.hint or "")
