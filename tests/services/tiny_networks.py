"""A studio over tiny ONNX graphs that keep the contracts of networks whose weights cannot be had, and real detectors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.spec import ModelSpec, Task
from facecraft.catalog.store import ModelStore
from facecraft.faces.parts import FacePart
from facecraft.inference.devices import resolve
from facecraft.inference.pool import SessionPool
from facecraft.settings import Settings
from facecraft.studio import Studio

Side = int | str
REAL = ("blazeface_full_sparse", "blazeface_short", "mp_face_landmark_468", "mp_selfie", "dlib_resnet")
"""Rows whose real files are taken from the models folder."""


def _graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[Side]],
    outputs: Mapping[str, Sequence[Side]],
    constants: Sequence[tuple[str, object]] = (),
) -> bytes:
    def values(named: Mapping[str, Sequence[Side]]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in named.items()]

    arrays = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants]
    graph = helper.make_graph(list(nodes), "g", values(inputs), values(outputs), arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def color_swapper() -> bytes:
    """inswapper_128: every pixel gets the colour that the first three numbers of the source stand for."""
    return _graph(
        [
            helper.make_node("Mul", ["target", "nothing"], ["black"]),
            helper.make_node("Slice", ["source", "from", "to", "axis"], ["three"]),
            helper.make_node("Reshape", ["three", "planes"], ["color"]),
            helper.make_node("Mul", ["color", "half"], ["small"]),
            helper.make_node("Add", ["small", "half"], ["shown"]),
            helper.make_node("Add", ["black", "shown"], ["output"]),
        ],
        {"target": [1, 3, 128, 128], "source": [1, 512]},
        {"output": [1, 3, 128, 128]},
        [
            ("nothing", np.float32(0)),
            ("half", np.float32(0.5)),
            ("from", np.array([0], np.int64)),
            ("to", np.array([3], np.int64)),
            ("axis", np.array([1], np.int64)),
            ("planes", np.array([1, 3, 1, 1], np.int64)),
            ("buff2fs", np.eye(512, dtype=np.float32)),
        ],
    )


def color_embedder() -> bytes:
    """ArcFace: the mean colour of the crop and 509 zeros."""
    return _graph(
        [
            helper.make_node("ReduceMean", ["input.1"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("Pad", ["mean", "room"], ["output"]),
        ],
        {"input.1": ["N", 3, 112, 112]},
        {"output": ["N", 512]},
        [("room", np.array([0, 0, 0, 509], np.int64))],
    )


def inverting_restorer() -> bytes:
    """GFPGAN: the negative of what it sees, so that it shows where it drew."""
    shape = [1, 3, 512, 512]
    return _graph([helper.make_node("Neg", ["input"], ["output"])], {"input": shape}, {"output": shape})


def thirty_year_old_woman() -> bytes:
    """genderage: female, 30 years, whatever it sees."""
    return _graph(
        [
            helper.make_node("ReduceMean", ["data"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
            helper.make_node("Add", ["zero", "answer"], ["fc1"]),
        ],
        {"data": ["None", 3, 96, 96]},
        {"fc1": ["None", 3]},
        [("nothing", np.float32(0)), ("answer", np.array([1, 0, 0.3], np.float32))],
    )


def half_quality() -> bytes:
    """eDifFIQA: 0.5, whatever it sees."""
    return _graph(
        [
            helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
            helper.make_node("Add", ["zero", "half"], ["flat"]),
            helper.make_node("Reshape", ["flat", "column"], ["output"]),
        ],
        {"input": ["N", 3, 112, 112]},
        {"output": ["N", 1]},
        [("nothing", np.float32(0)), ("half", np.float32(0.5)), ("column", np.array([-1, 1], np.int64))],
    )


def half_parser(part: FacePart) -> bytes:
    """BiSeNet: skin in the left half of the crop and ``part`` in the right half, whatever it sees."""
    logits = np.zeros((1, 19, 512, 512), np.float32)
    logits[:, FacePart.SKIN, :, :256] = logits[:, part, :, 256:] = 1
    return _graph(
        [
            helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=1),
            helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
            helper.make_node("Add", ["zero", "logits"], ["output"]),
        ],
        {"input": [1, 3, 512, 512]},
        {"output": [1, 19, 512, 512]},
        [("nothing", np.float32(0)), ("logits", logits)],
    )


def half_occlusion() -> bytes:
    """XSeg: something covers the right half of the crop, whatever it sees."""
    visible = np.zeros((1, 256, 256, 1), np.float32)
    visible[:, :, :128] = 1
    return _graph(
        [
            helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=1),
            helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
            helper.make_node("Add", ["zero", "visible"], ["output"]),
        ],
        {"input": [1, 256, 256, 3]},
        {"output": [1, 256, 256, 1]},
        [("nothing", np.float32(0)), ("visible", visible)],
    )


TINY = {
    "inswapper_128": color_swapper,
    "arcface_w600k_r50": color_embedder,
    "ff_gfpgan_1_4": inverting_restorer,
    "insightface_genderage": thirty_year_old_woman,
    "ediffiqa_tiny": half_quality,
}


def row(model_id: str, content: bytes, *, commercial: bool = True, url: str = "https://example.org/file") -> ModelSpec:
    """Return the shipped row of ``model_id`` for another file with this content."""
    changes = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "commercial": commercial,
               "evidence": "local", "sources": (url,), "requires": Catalog.load().get(model_id).requires}  # fmt: skip
    return ModelSpec.model_validate(Catalog.load().get(model_id).model_dump() | changes)


def real_rows(folder: Path, models_dir: Path) -> list[ModelSpec]:
    """Link the real files into ``folder`` and return their rows; skips where one is not installed."""
    shipped, specs = Catalog.load(), []
    for model_id in REAL:
        spec = shipped.get(model_id)
        if not (models_dir / str(spec.file)).is_file():
            pytest.skip(f"{spec.file} is not installed")
        (folder / str(spec.file)).symlink_to(models_dir / str(spec.file))
        specs.append(ModelSpec.model_validate(spec.model_dump() | {"sources": ("https://example.org/file",)}))
    return specs


def catalog_of(specs: Sequence[ModelSpec]) -> Catalog:
    """Return a catalogue of ``specs`` in which "auto" takes each of them, dlib's recogniser before all others."""
    order = sorted(specs, key=lambda spec: spec.id != "dlib_resnet")
    auto = {task: tuple(spec.id for spec in order if spec.task is task) for task in Task}
    return Catalog(specs, auto={task: ids for task, ids in auto.items() if ids})


@contextmanager
def tiny_studio(
    folder: Path,
    models_dir: Path,
    *,
    commercial: Mapping[str, bool] | None = None,
    more: Mapping[str, bytes] | None = None,
    **changes: object,
) -> Iterator[Studio]:
    """Open a studio over tiny and real networks; ``commercial`` says of which rows the licence forbids commercial use.

    ``more`` are further graphs by the id of their row.
    """
    root = folder / "models"
    root.mkdir(parents=True)
    specs = real_rows(root, models_dir)
    for model_id, content in {**{name: make() for name, make in TINY.items()}, **(more or {})}.items():
        spec = row(model_id, content, commercial=(commercial or {}).get(model_id, True))
        (root / str(spec.file)).write_bytes(content)
        specs.append(spec)
    settings = Settings(**{
        "models_dir": root, "upload_dir": folder / "uploads", "output_dir": folder / "results", "device": "cpu",
        "offline": True, **changes,
    })  # fmt: skip
    store = ModelStore(catalog_of(specs), settings.models_dir, offline=settings.offline, policy=settings.license_policy)
    with Studio(settings, store, SessionPool(), resolve("cpu"), threads=1) as studio:
        yield studio
