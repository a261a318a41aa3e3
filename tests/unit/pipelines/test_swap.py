"""The swap stage: consent, who goes where, and that nothing but faces changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.spec import ModelSpec, Task
from facecraft.catalog.store import ModelStore
from facecraft.errors import ConsentRequiredError, FaceIndexError, InvalidOptionError, NoFaceFoundError
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Image
from facecraft.inference.devices import resolve
from facecraft.inference.pool import SessionPool
from facecraft.models.hub import ModelHub
from facecraft.pipelines.identity import Verdict
from facecraft.pipelines.stage import Context
from facecraft.pipelines.stages.swap import SwapOptions, swap

POINTS = np.array([[206.0, 109.0], [244.0, 108.0], [226.0, 130.0], [209.0, 151.0], [243.0, 150.0]])


def _model(nodes: list[onnx.NodeProto], inputs: dict[str, list[int]], shape: list[int], constants: list[onnx.TensorProto]) -> bytes:  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name, sides in inputs.items()],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def green_swapper() -> bytes:
    """Every pixel becomes pure green, whatever it was shown."""
    green = np.zeros((1, 3, 128, 128), np.float32)
    green[:, 1] = 1
    return _model(
        [
            helper.make_node("Mul", ["target", "nothing"], ["black"]),
            helper.make_node("ReduceSum", ["source"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["sum", "nothing"], ["zero"]),
            helper.make_node("Add", ["black", "green"], ["colored"]),
            helper.make_node("Add", ["colored", "zero"], ["output"]),
        ],
        {"target": [1, 3, 128, 128], "source": [1, 512]},
        [1, 3, 128, 128],
        [
            numpy_helper.from_array(np.array(0, np.float32), "nothing"),
            numpy_helper.from_array(green, "green"),
            numpy_helper.from_array(np.eye(512, dtype=np.float32), "buff2fs"),
        ],
    )


def color_embedder() -> bytes:
    """The mean colour of the crop and 509 zeros: enough to tell a green face from a pink one."""
    return _model(
        [
            helper.make_node("ReduceMean", ["input.1"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("Pad", ["mean", "room"], ["output"]),
        ],
        {"input.1": [1, 3, 112, 112]},
        [1, 512],
        [numpy_helper.from_array(np.array([0, 0, 0, 509], np.int64), "room")],
    )


@pytest.fixture
def hub(tmp_path: Path, models_dir: Path) -> Iterator[ModelHub]:
    """inswapper and ArcFace as tiny graphs, and the real face detectors."""
    shipped = Catalog.load()
    specs = []
    for model_id, content in (("inswapper_128", green_swapper()), ("arcface_w600k_r50", color_embedder())):
        row = shipped.get(model_id)
        (tmp_path / str(row.file)).write_bytes(content)
        changes = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "commercial": True,
                   "evidence": "local", "sources": ("https://example.org/file",)}  # fmt: skip
        specs.append(ModelSpec.model_validate(row.model_dump() | changes))
    for model_id in ("blazeface_full_sparse", "blazeface_short"):
        row = shipped.get(model_id)
        if not (models_dir / str(row.file)).is_file():
            pytest.skip(f"{row.file} is not installed")
        (tmp_path / str(row.file)).symlink_to(models_dir / str(row.file))
        specs.append(ModelSpec.model_validate(row.model_dump() | {"sources": ("https://example.org/file",)}))
    auto = {
        Task.FACE_SWAP: ("inswapper_128",),
        Task.FACE_RECOGNITION: ("arcface_w600k_r50",),
        Task.FACE_DETECTION: ("blazeface_full_sparse", "blazeface_short"),
    }
    catalog = Catalog(specs, auto=auto)
    with SessionPool() as pool:
        yield ModelHub(catalog, ModelStore(catalog, tmp_path), pool, resolve("cpu"), threads=1)


def context(target: Image, source: Image | None) -> Context:
    face = Face(Box(175, 60, 275, 180), 1.0, POINTS)
    references = {} if source is None else {"source": source}
    return Context(original=target, references=references, faces=(face,), chosen=(0,))


def test_a_constant_swapper_changes_only_the_face(hub: ModelHub, astronaut: Image) -> None:
    done = swap.run(context(astronaut, astronaut), SwapOptions(consent=True), hub)
    changed = np.abs(done.canvas.astype(int) - astronaut.rgb).max(axis=2) > 0
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert changed[130, 226]
    assert 40 < rows[0] < rows[-1] < 200
    assert 150 < columns[0] < columns[-1] < 300
    red, green, blue = done.canvas[130, 226].astype(int)
    assert green > red + 30
    assert green > blue + 30
    assert done.models["face_swap"] == "inswapper_128"
    (identity,) = done.identity
    assert (identity.stage, identity.model) == ("swap", "arcface_w600k_r50")
    assert identity.similarity is not None
    assert identity.threshold is not None
    assert identity.similarity < 0.8
    expected = Verdict.KEPT if identity.similarity >= identity.threshold else Verdict.MISSED
    assert identity.verdict is expected


def test_strength_zero_changes_nothing(hub: ModelHub, astronaut: Image) -> None:
    done = swap.run(context(astronaut, astronaut), SwapOptions(consent=True, swap_strength=0.0), hub)
    assert np.array_equal(done.canvas, astronaut.rgb)
    assert done.identity[0].verdict is Verdict.KEPT


def test_nothing_happens_without_consent_and_a_source(hub: ModelHub, astronaut: Image) -> None:
    with pytest.raises(ConsentRequiredError) as caught:
        swap.run(context(astronaut, astronaut), SwapOptions(), hub)
    assert caught.value.code == "consent_required"
    with pytest.raises(InvalidOptionError, match="second picture"):
        swap.run(context(astronaut, None), SwapOptions(consent=True), hub)
    blank = Image(np.full((200, 200, 3), 128, np.uint8))
    with pytest.raises(NoFaceFoundError, match="source"):
        swap.run(context(astronaut, blank), SwapOptions(consent=True), hub)


def test_the_map_says_which_face_goes_where(hub: ModelHub, astronaut: Image) -> None:
    mapped = swap.run(context(astronaut, astronaut), SwapOptions(consent=True, swap_map="0:0"), hub)
    assert [identity.face for identity in mapped.identity] == [0]
    with pytest.raises(FaceIndexError, match="0:3"):
        swap.run(context(astronaut, astronaut), SwapOptions(consent=True, swap_map="0:3"), hub)
    for wrong in ("0", "a:b", "0:1,1:1", "-1:0"):
        with pytest.raises(ValidationError):
            SwapOptions(consent=True, swap_map=wrong)
