"""Every architecture that finds, describes and compares faces is built from a row of the catalogue and really runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.spec import Task
from facecraft.catalog.store import ModelStore
from facecraft.errors import ModelLoadError, RuntimeMissingError
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Image
from facecraft.inference.devices import resolve
from facecraft.inference.pool import LoadState, SessionPool
from facecraft.models.hub import ARCHITECTURES, ModelHub

Outputs = Sequence[tuple[str, Sequence[int], int]]


def constant(graph: Any, path: Path, given: tuple[str, Sequence[int | str]], outputs: Outputs) -> Path:
    """A graph that takes ``given`` and gives ones; the first row is repeated for every row that came in."""
    name, shape = given
    graph.takes(name, shape)
    for out, sides, kind in outputs:
        graph.node("Identity", graph.constant(np.ones(sides), {1: np.float32, 7: np.int64}[kind]), out=out)
        graph.gives(out, sides, kind)
    saved: Path = graph.save(path)
    return saved


def _scrfd(graph: Any, path: Path) -> Path:
    # The hub tries networks on 512×512.
    counts = [2 * (512 // stride) ** 2 for stride in (8, 16, 32)]
    outputs = [
        (f"o{3 * kind + i}", (n, width), 1) for kind, width in enumerate((1, 4, 10)) for i, n in enumerate(counts)
    ]
    return constant(graph, path, ("input.1", [1, 3, "?", "?"]), outputs)


def _retinaface(graph: Any, path: Path) -> Path:
    count = sum(2 * (512 // step) ** 2 for step in (8, 16, 32))
    outputs = [(name, (1, count, width), 1) for name, width in (("loc", 4), ("conf", 2), ("landmarks", 10))]
    return constant(graph, path, ("input", [1, 3, "h", "w"]), outputs)


def _crops(side: int, *outputs: tuple[str, Sequence[int], int]) -> Callable[[Any, Path], Path]:
    return lambda graph, path: constant(graph, path, ("data", [1, 3, side, side]), outputs)


ROWS: list[tuple[str, Task, Callable[[Any, Path], Path], str]] = [
    ("scrfd", Task.FACE_DETECTION, _scrfd, "score = 2"),
    ("retinaface", Task.FACE_DETECTION, _retinaface, 'score = 2, iou = 0.2, color = "rgb"'),
    ("landmark_2d106", Task.FACE_LANDMARKS, _crops(192, ("fc1", (1, 212), 1)), ""),
    ("landmark_3d68", Task.FACE_LANDMARKS, _crops(192, ("fc1", (1, 3309), 1)), ""),
    ("fan_2d", Task.FACE_LANDMARKS, _crops(256, ("points", (1, 68, 3), 1), ("maps", (1, 68, 64, 64), 1)), ""),
    (
        "fan_68_5",
        Task.FACE_LANDMARKS,
        lambda graph, path: constant(graph, path, ("input", [1, 5, 2]), [("output", (1, 68, 2), 1)]),
        "",
    ),
    ("arcface", Task.FACE_RECOGNITION, _crops(112, ("683", (1, 512), 1)), "threshold = 0.38"),
    ("sface", Task.FACE_RECOGNITION, _crops(112, ("fc1", (1, 128), 1)), "threshold = 0.363"),
    ("genderage", Task.FACE_ATTRIBUTES, _crops(96, ("fc1", (1, 3), 1)), ""),
    (
        "fairface",
        Task.FACE_ATTRIBUTES,
        _crops(224, ("race_output", (1, 7), 1), ("gender_output", (1, 2), 1), ("age_output", (1, 9), 1)),
        'outputs = "logits"',
    ),
    (
        "fairface",
        Task.FACE_ATTRIBUTES,
        _crops(224, ("race_id", (1,), 7), ("gender_id", (1,), 7), ("age_id", (1,), 7)),
        'outputs = "classes"',
    ),
    ("ediffiqa", Task.FACE_QUALITY, _crops(112, ("output", (1, 1), 1)), ""),
]


@pytest.fixture
def pool() -> Iterator[SessionPool]:
    with SessionPool() as made:
        yield made


def hub_with(folder: Path, path: Path, row: tuple[str, Task, str], pool: SessionPool) -> ModelHub:
    architecture, task, parameters = row
    content = path.read_bytes()
    text = f"""
        [[model]]
        id = "it"
        task = "{task}"
        architecture = "{architecture}"
        file = "{path.name}"
        bytes = {len(content)}
        sha256 = "{hashlib.sha256(content).hexdigest()}"
        evidence = "local"
        license = "Some licence"
        commercial = true
        risk = "low"
        runtime = "onnxruntime"
        sources = ["https://example.org/{path.name}"]
        parameters = {{ {parameters} }}
    """
    catalog = Catalog.from_toml([text, f'{task} = ["it"]'])
    return ModelHub(catalog, ModelStore(catalog, folder), pool, resolve("cpu"), threads=1)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[3]}")
def test_a_row_becomes_an_adapter_that_runs(
    row: tuple[str, Task, Callable[[Any, Path], Path], str], graph: Any, tmp_path: Path, pool: SessionPool
) -> None:
    architecture, task, build, parameters = row
    hub = hub_with(tmp_path, build(graph, tmp_path / "it.onnx"), (architecture, task, parameters), pool)
    hub.warm(["it"])
    (probe,) = hub.probe([task])
    assert (probe.model_id, probe.error) == ("it", None)
    assert hub.used() == ("it",)
    assert pool.states()["it"].state is LoadState.LOADED


@pytest.mark.parametrize("row", [row for row in ROWS if row[3] != 'outputs = "classes"'], ids=lambda row: row[0])
def test_the_file_of_another_model_is_a_load_error(
    row: tuple[str, Task, Callable[[Any, Path], Path], str], graph: Any, tmp_path: Path, pool: SessionPool
) -> None:
    architecture, task, _, parameters = row
    other = constant(graph, tmp_path / "it.onnx", ("x", [1, 3, 7, 7]), [("y", (1, 5), 1), ("z", (1, 5), 1)])
    hub = hub_with(tmp_path, other, (architecture, task, parameters), pool)
    with pytest.raises(ModelLoadError, match="This network is not"):
        hub.warm(["it"])


def test_every_row_of_these_architectures_in_the_catalogue_can_be_built() -> None:
    covered = {(row[1], row[0]) for row in ROWS}
    for spec in Catalog.load():
        if (spec.task, spec.architecture) in covered:
            assert spec.architecture in ARCHITECTURES[spec.task]
    detectors = {spec.id for spec in Catalog.load() if spec.architecture in {"scrfd", "retinaface"}}
    assert {"scrfd_det_10g", "scrfd_det_500m", "retinaface_mv2", "retinaface_r34"} <= detectors


def test_recognizers_have_the_thresholds_their_authors_state() -> None:
    thresholds = {spec.id: spec.parameters.get("threshold") for spec in Catalog.load().by_task(Task.FACE_RECOGNITION)}
    assert thresholds["sface"] == thresholds["sface_int8"] == 0.363
    assert thresholds["arcface_w600k_r50"] == pytest.approx(1 - 1.24 / 2)
    assert thresholds["dlib_resnet"] == pytest.approx(1 - 0.6**2 / (2 * 1.42**2), abs=1e-3)
    assert thresholds["uniface_mobilenetv2"] is None
    for spec in Catalog.load().by_task(Task.FACE_RECOGNITION):
        assert "fmr" not in spec.parameters or "threshold" in spec.parameters
        assert "threshold" not in spec.parameters or "threshold:" in (spec.note or "")


def test_without_its_library_inspireface_names_the_command(tmp_path: Path, pool: SessionPool) -> None:
    pytest.importorskip("onnx")
    try:
        import inspireface  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("inspireface is installed")
    path = tmp_path / "Pikachu"
    path.write_bytes(b"pack")
    catalog = Catalog.load()
    spec = catalog.get("inspireface_pikachu")
    assert not spec.commercial
    text = f"""
        [[model]]
        id = "pack"
        task = "face_detection"
        architecture = "inspireface"
        file = "Pikachu"
        bytes = 4
        sha256 = "{hashlib.sha256(b"pack").hexdigest()}"
        evidence = "local"
        license = "Some licence"
        commercial = true
        risk = "low"
        runtime = "inspireface"
        sources = ["https://example.org/Pikachu"]

        [[model]]
        id = "vectors"
        task = "face_recognition"
        architecture = "inspireface"
        license = "Some licence"
        commercial = true
        risk = "low"
        runtime = "inspireface"
        requires = ["pack"]
        sources = []
    """
    small = Catalog.from_toml([text, "face_detection = []"])
    hub = ModelHub(small, ModelStore(small, tmp_path), pool, resolve("cpu"), threads=1)
    for call in (lambda: hub.detectors("pack"), lambda: hub.embedder("vectors")):
        with pytest.raises(RuntimeMissingError, match="InspireFace") as caught:
            call()
        assert "facecraft[inspireface]" in (caught.value.hint or "")


def test_auto_knows_attributes_and_quality(graph: Any, tmp_path: Path, pool: SessionPool) -> None:
    path = _crops(96, ("fc1", (1, 3), 1))(graph, tmp_path / "it.onnx")
    hub = hub_with(tmp_path, path, ("genderage", Task.FACE_ATTRIBUTES, ""), pool)
    five = np.array([[80, 80], [120, 80], [100, 100], [85, 120], [115, 120]], np.float64)
    (found,) = hub.attributes().describe(
        Image(np.zeros((200, 200, 3), np.uint8)), [Face(Box(60, 60, 140, 140), 1, five)]
    )
    assert (hub.attributes().model_id, found.age, found.sex) == ("it", 100, "female")
