"""Restoration through its whole stage: what it leaves alone, what it changes, and that the person stays the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.spec import ModelSpec
from facecraft.catalog.store import ModelStore
from facecraft.errors import ImageTooLargeError, ModelNotInstalledError
from facecraft.faces.alignment import FFHQ_512, fit_similarity
from facecraft.faces.face import Face
from facecraft.imaging.geometry import Box, Size
from facecraft.imaging.image import Image
from facecraft.inference.devices import resolve
from facecraft.inference.pool import SessionPool
from facecraft.models.hub import ModelHub
from facecraft.pipelines.encode import compose
from facecraft.pipelines.identity import Identity, IdentityCheck, IdentityGuard, Verdict, limit, remark
from facecraft.pipelines.pipeline import run
from facecraft.pipelines.presets import RestorePresetOptions
from facecraft.pipelines.report import IdentityRecord
from facecraft.pipelines.stage import Context, Watch
from facecraft.pipelines.stages.restore import RestoreOptions, restore
from facecraft.pipelines.stages.upscale import UpscaleOptions, upscale
from facecraft.progress import ProgressEvent

MakeHub = Callable[..., ModelHub]

# The woman of skimage's astronaut picture: eyes, nose and mouth corners.
ASTRONAUT = np.array([[206.0, 109.0], [244.0, 108.0], [226.0, 130.0], [209.0, 151.0], [243.0, 150.0]])


def face(points: np.ndarray = ASTRONAUT) -> Face:
    return Face(Box(175, 60, 275, 180), 1.0, points)


def context(image: Image, *faces: Face, chosen: tuple[int, ...] = (0,)) -> Context:
    return Context(original=image, faces=faces or (face(),), chosen=chosen)


@pytest.fixture
def make_hub(tmp_path: Path) -> Iterator[MakeHub]:
    """A hub over the shipped rows whose files are the given graphs, and over files of the models folder."""
    with ExitStack() as pools:

        def make(graphs: dict[str, onnx.ModelProto], real: dict[str, Path] | None = None) -> ModelHub:
            shipped = Catalog.load()
            specs: list[ModelSpec] = []
            for model_id, model in graphs.items():
                content = model.SerializeToString()
                changes = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "evidence": "local"}
                spec = shipped.get(model_id).model_copy(update={**changes, "commercial": True, "requires": ()})
                (tmp_path / str(spec.file)).write_bytes(content)
                specs.append(spec)
            for model_id, path in (real or {}).items():
                if not (tmp_path / path.name).exists():
                    (tmp_path / path.name).symlink_to(path)
                row = shipped.get(model_id).model_dump() | {"sources": ("https://example.org/file",)}
                specs.append(ModelSpec.model_validate(row))
            catalog = Catalog(specs, auto={spec.task: (spec.id,) for spec in specs})
            pool = pools.enter_context(SessionPool())
            return ModelHub(catalog, ModelStore(catalog, tmp_path), pool, resolve("cpu"), threads=1)

        yield make


def restorer(*, noise: float = 0.0, side: int = 512) -> onnx.ModelProto:
    """The identity, or the crop with noise painted over it."""
    shape = [1, 3, side, side]
    grain = np.random.default_rng(1).standard_normal((1, 3, side // 16, side // 16)).repeat(16, 2).repeat(16, 3)
    graph = helper.make_graph(
        [helper.make_node("Add", ["input", "grain"], ["output"])],
        "restorer",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array((noise * grain).astype(np.float32), "grain")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture(scope="session")
def descriptor(models_dir: Path) -> dict[str, Path]:
    """The real dlib descriptor."""
    pytest.importorskip("_dlib_pybind11")
    path = models_dir / "dlib_face_recognition_resnet_model_v1.dat"
    if not path.is_file():
        pytest.skip(f"{path.name} is not installed")
    return {"dlib_resnet": path}


# --- restoration ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model_id", "side"), [("ff_gfpgan_1_4", 512), ("gpen_256", 256)])
def test_an_identity_restorer_changes_only_the_face_and_that_by_one_level(
    make_hub: MakeHub, astronaut: Image, model_id: str, side: int
) -> None:
    hub = make_hub({model_id: restorer(side=side)})
    done = restore.run(context(astronaut), RestoreOptions(restore_strength=1.0), hub)
    difference = np.abs(done.canvas.astype(int) - astronaut.rgb)
    assert difference.max() <= 1
    assert difference[300:].max() == 0
    assert difference[:, 400:].max() == 0
    assert done.models["face_restoration"] == model_id


def test_a_face_of_the_size_of_the_crop_comes_back_within_one_level(make_hub: MakeHub) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (700, 800, 3)).astype(np.uint8)
    points = FFHQ_512.scaled(512) + np.array([144, 94])
    assert np.allclose(fit_similarity(points, FFHQ_512.scaled(512)).scale, 1)
    one = Face(Box(300, 250, 500, 500), 1.0, points)
    hub = make_hub({"ff_gfpgan_1_4": restorer()})
    done = restore.run(context(Image(pixels), one), RestoreOptions(restore_strength=1.0), hub)
    assert np.abs(done.canvas.astype(int) - pixels).max() <= 1


def test_only_the_chosen_faces_are_restored_unless_all_are_wanted(make_hub: MakeHub) -> None:
    pixels = np.full((700, 1600, 3), 128, np.uint8)
    faces = [Face(Box(x + 150, 100, x + 400, 400), 1.0, FFHQ_512.scaled(512) + np.array([x, 90])) for x in (50, 950)]
    hub = make_hub({"ff_gfpgan_1_4": restorer(noise=1.0)})
    options = RestoreOptions(restore_strength=1.0)
    one = restore.run(context(Image(pixels), *faces), options, hub).canvas
    assert (one[:, 800:] == 128).all()
    assert (one[:, :800] != 128).any()
    both = restore.run(context(Image(pixels), *faces), options.with_changes(restore_faces="all"), hub)
    assert (both.canvas[:, 800:] != 128).any()
    assert [identity.face for identity in both.identity] == [0, 1]


def test_strength_says_how_much_is_laid_over(make_hub: MakeHub, astronaut: Image) -> None:
    hub = make_hub({"ff_gfpgan_1_4": restorer(noise=0.5)})
    changes = [
        float(np.abs(restore.run(context(astronaut), RestoreOptions(restore_strength=s), hub).canvas
                     - astronaut.rgb.astype(float)).mean())
        for s in (0.0, 0.4, 0.8)
    ]  # fmt: skip
    assert changes[0] == 0
    assert changes[2] == pytest.approx(2 * changes[1], rel=0.15)


def test_a_missing_restorer_skips_or_fails_as_asked(make_hub: MakeHub, astronaut: Image) -> None:
    hub = make_hub({})
    assert "restore" in restore.run(context(astronaut), RestoreOptions(), hub).skipped
    for choice in ("any", RestorePresetOptions().restorer):
        with pytest.raises(ModelNotInstalledError):
            restore.run(context(astronaut), RestoreOptions(restorer=choice), hub)
    empty = Context(original=astronaut)
    assert restore.run(empty, RestoreOptions(), make_hub({"ff_gfpgan_1_4": restorer()})).skipped["restore"]


# --- identity ------------------------------------------------------------------------------------------------------


def test_without_a_recogniser_it_says_that_nothing_was_measured(make_hub: MakeHub, astronaut: Image) -> None:
    hub = make_hub({"ff_gfpgan_1_4": restorer(noise=2.0)})
    (identity,) = restore.run(context(astronaut), RestoreOptions(), hub).identity
    assert identity.verdict is Verdict.NOT_MEASURED
    assert identity.similarity is None
    assert identity.strength == 0.8
    assert (identity.reason or "").startswith("not measured: No model for face_recognition")
    off = restore.run(context(astronaut), RestoreOptions(identity="off"), hub).identity[0]
    assert off.reason == "switched off"


def test_a_restorer_that_keeps_the_person_is_kept(
    make_hub: MakeHub, descriptor: dict[str, Path], astronaut: Image
) -> None:
    hub = make_hub({"ff_gfpgan_1_4": restorer(noise=0.02)}, descriptor)
    done = restore.run(context(astronaut), RestoreOptions(), hub)
    (identity,) = done.identity
    assert (identity.verdict, identity.model) == (Verdict.KEPT, "dlib_resnet")
    assert identity.threshold == pytest.approx(0.9466)
    assert identity.similarity is not None
    assert identity.similarity > 0.98
    assert done.warnings == ()
    assert done.models["identity"] == "dlib_resnet"


def test_a_restorer_that_changes_the_person_is_reduced_then_rolled_back(
    make_hub: MakeHub, descriptor: dict[str, Path], astronaut: Image
) -> None:
    verdicts: list[Identity] = []
    for noise in (0.5, 4.0):
        hub = make_hub({"ff_gfpgan_1_4": restorer(noise=noise)}, descriptor)
        done = restore.run(context(astronaut), RestoreOptions(restore_strength=1.0, identity="strict"), hub)
        (identity,) = done.identity
        verdicts.append(identity)
        if identity.verdict is not Verdict.KEPT:
            assert any("changed the person of face 0" in text for text in done.warnings)
        if identity.verdict is Verdict.ROLLED_BACK:
            assert np.array_equal(done.canvas, astronaut.rgb)
    assert verdicts[-1].verdict is Verdict.ROLLED_BACK
    assert verdicts[-1].strength == 0
    assert Verdict.REDUCED in {identity.verdict for identity in verdicts}
    reduced = next(identity for identity in verdicts if identity.verdict is Verdict.REDUCED)
    assert reduced.strength in (0.75, 0.5, 0.25)
    assert (reduced.similarity or 0) >= (reduced.threshold or 1) > (reduced.first_similarity or 1)


def test_limits_rise_with_the_guard() -> None:
    for match in (None, 0.363, 0.38, 0.911):
        soft, normal, strict = (limit(match, guard) for guard in (IdentityGuard.SOFT, IdentityGuard.NORMAL, IdentityGuard.STRICT))  # fmt: skip
        assert soft == (match or 0.38)
        assert soft < normal < strict < 1


def test_a_record_and_a_remark_say_what_happened() -> None:
    identity = Identity("restore", 1, Verdict.REDUCED, 0.4, 0.8, 0.9613, 0.91234, 0.95, "dlib_resnet")
    record = IdentityRecord.of(identity)
    assert record.model_dump(mode="json")["verdict"] == "reduced"
    assert (record.similarity, record.first_similarity) == (0.9613, 0.9123)
    assert "face 1" in (remark(identity) or "")
    assert "50%" in (remark(identity) or "")
    assert remark(Identity.asked("restore", 0, 1.0)) is None
    assert IdentityCheck(None, 0.0, "why").settle(
        Identity.asked("restore", 0, 1.0), np.zeros((4, 4, 3), np.uint8), face(), lambda _: np.zeros((4, 4, 3), np.uint8)
    ).reason == "why"  # fmt: skip


# --- enlarging -----------------------------------------------------------------------------------------------------


def enlarger() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Resize", ["input", "", "scales"], ["output"], mode="linear")],
        "upscaler",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, None, None])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 3, None, None])],
        [numpy_helper.from_array(np.array([1, 1, 4, 4], np.float32), "scales")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("factor", [1.5, 2.0, 4.0])
def test_the_picture_becomes_as_large_as_asked(make_hub: MakeHub, astronaut: Image, factor: float) -> None:
    hub = make_hub({"realesr_general_x4v3": enlarger()})
    small = Image(np.ascontiguousarray(astronaut.rgb[40:240, 100:401]))
    done = upscale.run(Context(original=small), UpscaleOptions(upscale=factor), hub)
    assert done.canvas_size == Size(round(301 * factor), round(200 * factor))
    assert done.models["upscale"] == "realesr_general_x4v3"
    # Pixel centres stay in place: going back gives the picture.
    import cv2

    back = cv2.resize(done.canvas, (301, 200), interpolation=cv2.INTER_AREA)
    assert np.abs(back.astype(int) - small.rgb).mean() < 4
    assert done.transform.scale == pytest.approx(factor, rel=0.01)


def test_without_a_network_it_is_interpolated_and_says_so(make_hub: MakeHub, astronaut: Image) -> None:
    hub = make_hub({})
    done = upscale.run(Context(original=astronaut), UpscaleOptions(upscale=2), hub)
    assert done.canvas_size == Size(1024, 1024)
    assert "interpolation" in done.warnings[0]
    assert not upscale.run(Context(original=astronaut), UpscaleOptions(upscaler="none"), hub).warnings
    assert "upscale" in upscale.run(Context(original=astronaut), UpscaleOptions(upscale=1), hub).skipped
    with pytest.raises(ModelNotInstalledError):
        upscale.run(Context(original=astronaut), UpscaleOptions(upscaler="realesr_general_x4v3"), make_hub_of(hub))


def make_hub_of(hub: ModelHub) -> ModelHub:
    """The same folder under the shipped catalogue, where the network is known and absent."""
    return ModelHub(
        Catalog.load(), ModelStore(Catalog.load(), Path("/nonexistent-models")), SessionPool(), resolve("cpu")
    )


def test_transparency_stays(make_hub: MakeHub) -> None:
    pixels = np.zeros((60, 80, 4), np.uint8)
    pixels[:, 40:] = (10, 200, 30, 255)
    hub = make_hub({"realesr_general_x4v3": enlarger()})
    result = compose(upscale.run(Context(original=Image(pixels)), UpscaleOptions(upscale=4), hub)).image().pixels
    assert result.shape == (240, 320, 4)
    assert (result[:, :150, 3] == 0).all()
    assert (result[:, 170:] == (10, 200, 30, 255)).all()


def test_what_would_not_fit_is_refused_before_it_is_made(make_hub: MakeHub) -> None:
    hub = make_hub({"realesr_general_x4v3": enlarger()})
    large = Image(np.broadcast_to(np.zeros(3, np.uint8), (5000, 6000, 3)))
    with pytest.raises(ImageTooLargeError, match="24000×20000"):
        upscale.run(Context(original=large), UpscaleOptions(upscale=2), hub)


def test_faces_are_restored_at_the_final_size(make_hub: MakeHub, astronaut: Image) -> None:
    hub = make_hub({"realesr_general_x4v3": enlarger(), "ff_gfpgan_1_4": restorer(noise=1.0)})
    large = upscale.run(context(astronaut), UpscaleOptions(upscale=2), hub)
    done = restore.run(large, RestoreOptions(restore_strength=1.0), hub)
    difference = np.abs(done.canvas.astype(int) - large.canvas).max(axis=2)
    assert difference[250, 450] + difference[240, 440] + difference[260, 470] > 0
    assert difference[600:].max() == 0
    assert difference[:, 800:].max() == 0


def test_tiles_are_told_as_progress_of_the_whole(make_hub: MakeHub, astronaut: Image) -> None:
    from facecraft.pipelines.pipeline import Pipeline

    hub = make_hub({"realesr_general_x4v3": enlarger()})
    events: list[ProgressEvent] = []
    run(Pipeline.of(upscale=UpscaleOptions(upscale=4)), astronaut, hub, watch=Watch(events.append))
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    assert len(events) > 5
    assert events[-1].fraction == 1
    assert any("tile 2 of" in event.message for event in events)
