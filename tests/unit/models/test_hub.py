from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.spec import Task
from facecraft.catalog.store import ModelStore
from facecraft.errors import (
    InvalidOptionError,
    LicenseNotAcceptedError,
    ModelLoadError,
    ModelNotInstalledError,
    UnknownModelError,
)
from facecraft.imaging.image import Image
from facecraft.inference.devices import resolve
from facecraft.inference.pool import LoadState, SessionPool
from facecraft.models.hub import ARCHITECTURES, ModelHub

STARTER = ("blazeface_full_sparse", "blazeface_short", "mp_face_landmark_468", "mp_selfie")


@pytest.fixture
def pool() -> Iterator[SessionPool]:
    with SessionPool() as made:
        yield made


def hub_over(catalog: Catalog, folder: Path, pool: SessionPool) -> ModelHub:
    return ModelHub(catalog, ModelStore(catalog, folder), pool, resolve("cpu"), threads=1)


@pytest.fixture
def bare(tmp_path: Path, pool: SessionPool) -> ModelHub:
    """A hub over the shipped catalogue and an empty folder."""
    return hub_over(Catalog.load(), tmp_path, pool)


@pytest.fixture
def starter(models_dir: Path, tmp_path: Path, pool: SessionPool) -> ModelHub:
    """A hub over the shipped catalogue and the starter models only."""
    catalog = Catalog.load()
    for model_id in STARTER:
        name = catalog.get(model_id).file or ""
        if not (models_dir / name).is_file():
            pytest.skip(f"{name} is not installed")
        (tmp_path / name).symlink_to(models_dir / name)
    return hub_over(catalog, tmp_path, pool)


def entry(model_id: str, path: Path, task: str, architecture: str, *, commercial: bool = True) -> str:
    content = path.read_bytes()
    return f"""
        [[model]]
        id = "{model_id}"
        task = "{task}"
        architecture = "{architecture}"
        file = "{path.name}"
        bytes = {len(content)}
        sha256 = "{hashlib.sha256(content).hexdigest()}"
        evidence = "local"
        license = "Some licence"
        commercial = {str(commercial).lower()}
        risk = "{"low" if commercial else "licence"}"
        runtime = "onnxruntime"
        sources = ["https://example.org/{path.name}"]
    """


def inverter(folder: Path, name: str) -> Path:
    """A restorer in the form of the real ones that turns the colours around."""
    onnx = pytest.importorskip("onnx")
    shape = [1, 3, 512, 512]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Neg", ["input"], ["output"])],
        "g",
        [onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, shape)],
    )
    path = folder / name
    graph.name = name  # files with equal bytes would be one model
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_every_architecture_is_in_the_catalogue() -> None:
    catalog = Catalog.load()
    for task, names in ARCHITECTURES.items():
        assert names <= {spec.architecture for spec in catalog.by_task(task)}


def test_without_models_the_errors_name_the_command(bare: ModelHub) -> None:
    with pytest.raises(ModelNotInstalledError) as caught:
        bare.segmenter()
    assert caught.value.hint == "facecraft models install starter"
    with pytest.raises(ModelNotInstalledError) as caught:
        bare.detectors("blazeface_short")
    assert caught.value.hint == "facecraft models install blazeface_short"
    with pytest.raises(ModelNotInstalledError) as caught:
        bare.restorer()
    assert (caught.value.hint or "").startswith("facecraft models install ")
    assert bare.landmarker() is None
    with pytest.raises(ModelNotInstalledError):
        bare.landmarker("mp_face_landmark_468")


def test_what_is_not_a_model_of_the_task_is_refused(bare: ModelHub) -> None:
    with pytest.raises(UnknownModelError):
        bare.detectors("blazefaze")
    with pytest.raises(InvalidOptionError, match="not for face_detection"):
        bare.detectors("mp_selfie")
    with pytest.raises(InvalidOptionError, match="no adapter"):
        bare.warm([Catalog.load().by_task(Task.EMBEDDING_CONVERTER)[0].id])


def test_a_probe_of_nothing_says_what_is_missing(bare: ModelHub) -> None:
    (probe,) = bare.probe([Task.MATTING])
    assert (probe.model_id, type(probe.error)) == ("matting", ModelNotInstalledError)


def test_auto_takes_both_blazefaces_and_an_id_only_itself(starter: ModelHub) -> None:
    assert [each.model_id for each in starter.detectors()] == ["blazeface_full_sparse", "blazeface_short"]
    assert [each.model_id for each in starter.detectors("blazeface_short")] == ["blazeface_short"]
    landmarker = starter.landmarker()
    assert landmarker is not None
    assert landmarker.model_id == "mp_face_landmark_468"
    assert starter.segmenter().model_id == "mp_selfie"


def test_the_adapters_really_work(starter: ModelHub, astronaut: Image) -> None:
    faces = [face for detector in starter.detectors() for face in detector.detect(astronaut)]
    assert len(faces) >= 1
    landmarker = starter.landmarker()
    assert landmarker is not None
    dense = landmarker.locate(astronaut, faces[0])
    assert dense is not None
    assert dense.points.shape == (468, 3)
    mask = starter.segmenter().segment(astronaut, faces[0].box).values
    assert mask[150, 220] > 0.9
    assert mask[20, 20] < 0.5


def test_adapters_are_built_once(starter: ModelHub) -> None:
    assert starter.segmenter().adapter is starter.segmenter().adapter


def test_a_probe_runs_the_networks_and_reports_them(starter: ModelHub, pool: SessionPool) -> None:
    assert starter.used() == ()
    probes = starter.probe()
    assert [probe.model_id for probe in probes] == ["blazeface_full_sparse", "blazeface_short", "mp_selfie"]
    assert all(probe.error is None and probe.milliseconds > 0 for probe in probes)
    assert set(starter.used()) == {"blazeface_full_sparse", "blazeface_short", "mp_selfie"}
    starter.warm(["mp_face_landmark_468"])
    assert pool.states()["mp_face_landmark_468"].state is LoadState.LOADED


def test_the_order_of_the_catalogue_and_the_licence_decide(tmp_path: Path, pool: SessionPool) -> None:
    best, plain = inverter(tmp_path, "best.onnx"), inverter(tmp_path, "plain.onnx")
    catalog = Catalog.from_toml(
        [
            entry("best", best, "face_restoration", "gfpgan", commercial=False),
            entry("plain", plain, "face_restoration", "gfpgan"),
            'face_restoration = ["best", "plain"]',
        ]
    )
    hub = hub_over(catalog, tmp_path, pool)
    assert hub.restorer().model_id == "plain"
    with pytest.raises(LicenseNotAcceptedError):
        hub.restorer("best")
    ModelStore(catalog, tmp_path).accept(["best"])
    hub = hub_over(catalog, tmp_path, pool)
    assert hub.restorer().model_id == "best"
    crop = np.arange(512 * 512 * 3, dtype=np.uint8).reshape(512, 512, 3)
    assert np.array_equal(hub.restorer().restore(crop, 0.0), 255 - crop)
    plain.unlink()
    best.unlink()
    with pytest.raises(ModelNotInstalledError):
        hub.restorer()


def test_auto_names_the_licence_when_that_is_all_that_is_missing(tmp_path: Path, pool: SessionPool) -> None:
    path = inverter(tmp_path, "best.onnx")
    text = entry("best", path, "face_restoration", "gfpgan", commercial=False)
    catalog = Catalog.from_toml([text, 'face_restoration = ["best"]'])
    with pytest.raises(LicenseNotAcceptedError):
        hub_over(catalog, tmp_path, pool).restorer()


def test_a_file_that_cannot_be_loaded_is_reported_by_the_probe(tmp_path: Path, pool: SessionPool) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a network")
    text = entry("broken", path, "face_restoration", "gfpgan")
    hub = hub_over(Catalog.from_toml([text, 'face_restoration = ["broken"]']), tmp_path, pool)
    (probe,) = hub.probe([Task.FACE_RESTORATION])
    assert (probe.model_id, type(probe.error)) == ("broken", ModelLoadError)
    assert pool.states()["broken"].state is LoadState.FAILED
