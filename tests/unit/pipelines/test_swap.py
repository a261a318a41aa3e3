"""The swap stage: consent, who goes where, and that nothing but faces changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.spec import ModelSpec, Task
from facecraft.catalog.store import ModelStore
from facecraft.errors import (
    ConsentRequiredError,
    FaceIndexError,
    InvalidOptionError,
    NoFaceFoundError,
    ReferenceNotFoundError,
)
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Image
from facecraft.inference.devices import resolve
from facecraft.inference.pool import SessionPool
from facecraft.models.hub import ModelHub
from facecraft.pipelines.identity import Verdict
from facecraft.pipelines.stage import Context
from facecraft.pipelines.stages.swap import SwapFaces, SwapOptions, swap
from services.pictures import BLUE, RED, beside, pale, tinted

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


# --- a reference face -------------------------------------------------------------------------------------------------


def two_people(people: Image, reference: Image, source: Image) -> Context:
    """Two faces beside each other, of which the policy means the left one."""
    left = Face(Box(175, 60, 275, 180), 1.0, POINTS)
    right = Face(Box(687, 60, 787, 180), 1.0, POINTS + np.array([512, 0]))
    references = {"source": source, "reference": reference}
    return Context(original=people, references=references, faces=(left, right), chosen=(0,))


def _changed_halves(done: Context) -> tuple[bool, bool]:
    changed = np.abs(done.canvas.astype(int) - done.original.rgb).max(axis=2) > 0
    return bool(changed[:, :512].any()), bool(changed[:, 512:].any())


@pytest.mark.parametrize("swap_faces", SwapFaces)
@pytest.mark.parametrize(("order", "index"), [((RED, BLUE), 1), ((BLUE, RED), 0)])
def test_the_face_of_the_reference_is_replaced_and_no_other(
    hub: ModelHub, astronaut: Image, order: tuple[np.ndarray, np.ndarray], index: int, swap_faces: SwapFaces
) -> None:
    people = beside(*(tinted(astronaut, tint) for tint in order))
    context = two_people(people, tinted(astronaut, BLUE), astronaut)
    done = swap.run(context, SwapOptions(consent=True, swap_faces=swap_faces), hub)
    assert _changed_halves(done) == (index == 0, index == 1)
    assert [identity.face for identity in done.identity] == [index]
    assert done.chosen == (index,)
    assert done.warnings == ()


def test_a_reference_of_somebody_else_is_an_error_that_tells_the_best(hub: ModelHub, astronaut: Image) -> None:
    people = beside(tinted(astronaut, RED), tinted(astronaut, BLUE))
    with pytest.raises(ReferenceNotFoundError, match=r"most alike of 2 .* of -?0\.\d\d, and 0\.38 is needed") as caught:
        swap.run(two_people(people, pale(astronaut), astronaut), SwapOptions(consent=True), hub)
    assert caught.value.code == "reference_not_found"
    assert caught.value.hint is not None
    assert "face_index" in caught.value.hint


def test_a_reference_without_a_face_is_named(hub: ModelHub, astronaut: Image) -> None:
    blank = Image(np.full((200, 200, 3), 128, np.uint8))
    with pytest.raises(NoFaceFoundError, match="reference"):
        swap.run(two_people(beside(astronaut, astronaut), blank, astronaut), SwapOptions(consent=True), hub)


def test_of_several_faces_of_a_reference_the_largest_counts_and_it_is_said(hub: ModelHub, astronaut: Image) -> None:
    people = beside(tinted(astronaut, RED), tinted(astronaut, BLUE))
    small = np.full((512, 512, 3), 128, np.uint8)
    small[:256, :256] = tinted(astronaut, RED).rgb[::2, ::2]
    reference = beside(Image(small), tinted(astronaut, BLUE))
    done = swap.run(two_people(people, reference, astronaut), SwapOptions(consent=True), hub)
    assert _changed_halves(done) == (False, True)
    (warning,) = done.warnings
    assert "shows 2 faces: the largest" in warning


def test_a_reference_and_a_map_contradict_each_other(hub: ModelHub, astronaut: Image) -> None:
    context = two_people(beside(astronaut, astronaut), astronaut, astronaut)
    with pytest.raises(InvalidOptionError, match="reference and swap_map"):
        swap.run(context, SwapOptions(consent=True, swap_map="0:0"), hub)


def test_what_follows_is_about_the_replaced_faces(hub: ModelHub, astronaut: Image) -> None:
    context = two_people(beside(astronaut, astronaut), astronaut, astronaut)
    references = {"source": astronaut}
    mapped = swap.run(replace(context, references=references), SwapOptions(consent=True, swap_map="0:1"), hub)
    assert mapped.chosen == (1,)
    options = SwapOptions(consent=True, swap_faces=SwapFaces.ALL)
    assert swap.run(replace(context, references=references, chosen=(1,)), options, hub).chosen == (1, 0)
