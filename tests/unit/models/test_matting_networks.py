"""Matting networks through the hub, with the shipped catalogue rows over graphs that undo the expected preparation.

Each graph answers with the colour it was shown, turned back by the constants of the network's published contract. Where
the mask equals the picture's own channel, normalisation, colour order, size and reading are right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.spec import Task
from facecraft.catalog.store import ModelStore
from facecraft.errors import InferenceError, ModelLoadError
from facecraft.imaging.geometry import Box, Size
from facecraft.imaging.image import Image
from facecraft.inference.devices import resolve
from facecraft.inference.pool import SessionPool
from facecraft.models.hub import ARCHITECTURES, ModelHub
from facecraft.models.matting_networks import MattingContract, Normalization, Reading

Install = Callable[[str, onnx.ModelProto], ModelHub]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5,) * 3, (0.5,) * 3)
CENTER = ((0.5,) * 3, (1.0,) * 3)
NONE = ((0.0,) * 3, (1.0,) * 3)


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    with SessionPool() as pool:

        def make(model_id: str, model: onnx.ModelProto) -> ModelHub:
            content = model.SerializeToString()
            row = Catalog.load().get(model_id)
            spec = row.model_copy(
                update={
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "bytes": len(content),
                    "evidence": "local",
                    "commercial": True,
                    "requires": (),
                }
            )
            (tmp_path / str(spec.file)).write_bytes(content)
            catalog = Catalog([spec], auto={row.task: (model_id,)})
            return ModelHub(catalog, ModelStore(catalog, tmp_path), pool, resolve("cpu"), threads=1)

        yield make


def network(
    side: int | None,
    channel: int,
    normalization: tuple[tuple[float, ...], tuple[float, ...]],
    *,
    names: tuple[str, str] = ("input", "output"),
    kinds: tuple[int, int] = (TensorProto.FLOAT, TensorProto.FLOAT),
    logits: bool = False,
    extra_outputs: int = 0,
) -> onnx.ModelProto:
    """Answer with plane ``channel`` of the input, times deviation, plus mean."""
    source, target = names
    mean, std = normalization
    constants = [
        numpy_helper.from_array(np.array([channel], np.int64), "plane"),
        numpy_helper.from_array(np.array(std[channel], np.float32), "std"),
        numpy_helper.from_array(np.array(mean[channel], np.float32), "mean"),
        numpy_helper.from_array(np.array(1, np.float32), "one"),
    ]
    nodes = [
        helper.make_node("Cast", [source], ["shown"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["shown", "plane"], ["one_plane"], axis=1),
        helper.make_node("Mul", ["one_plane", "std"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], ["color"]),
    ]
    last = "color"
    if logits:
        nodes += [
            helper.make_node("Sub", ["one", "color"], ["rest"]),
            helper.make_node("Div", ["color", "rest"], ["odds"]),
            helper.make_node("Log", ["odds"], ["logit"]),
        ]
        last = "logit"
    nodes.append(helper.make_node("Cast", [last], [target], to=kinds[1]))
    outputs = [helper.make_tensor_value_info(target, kinds[1], [1, 1, side, side])]
    for index in range(extra_outputs):
        nodes.append(helper.make_node("Sub", ["shown", "shown"], [f"side{index}"]))
        outputs.append(helper.make_tensor_value_info(f"side{index}", TensorProto.FLOAT, [1, 3, side, side]))
    graph = helper.make_graph(
        nodes, "matting", [helper.make_tensor_value_info(source, kinds[0], [1, 3, side, side])], outputs, constants
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def picture(width: int, height: int, low: int = 26, high: int = 229, seed: int = 3) -> Image:
    """Three channels that differ; each one reaches ``low`` and ``high``."""
    pixels = np.random.default_rng(seed).integers(low, high + 1, (height, width, 3)).astype(np.uint8)
    pixels[0, 0], pixels[-1, -1] = low, high
    return Image(pixels)


# id, side, normalization, names, kinds, logits, extra outputs, channel of the picture that plane 0 holds
FLOAT, HALF_FLOAT = TensorProto.FLOAT, TensorProto.FLOAT16
U2NET_OUTPUTS = 6
CASES = [
    ("u2net_human_seg", 320, IMAGENET, ("input.1", "1959"), (FLOAT, FLOAT), False, U2NET_OUTPUTS),
    ("u2netp", 320, IMAGENET, ("input.1", "1959"), (FLOAT, FLOAT), False, U2NET_OUTPUTS),
    ("isnet_general_use", 1024, CENTER, ("input_image", "output_image"), (FLOAT, FLOAT), False, 0),
    ("birefnet_portrait", 1024, IMAGENET, ("input_image", "output_image"), (FLOAT, FLOAT), True, 0),
    ("birefnet_lite", 1024, IMAGENET, ("input_image", "output_image"), (FLOAT, FLOAT), True, 0),
    ("birefnet_lite_fp16", 1024, IMAGENET, ("input_image", "output_image"), (HALF_FLOAT, HALF_FLOAT), True, 0),
    ("ben2_base", 1024, NONE, ("input", "output"), (FLOAT, HALF_FLOAT), False, 0),
    ("rmbg_1_4", 1024, CENTER, ("input", "output"), (FLOAT, FLOAT), False, 0),
    ("rmbg_2_0", 1024, IMAGENET, ("pixel_values", "alphas"), (FLOAT, FLOAT), False, 0),
    ("modnet_photographic", 512, HALF, ("input", "output"), (FLOAT, FLOAT), False, 0),
    ("modnet_photographic_yakhyo", 512, HALF, ("input", "output"), (FLOAT, FLOAT), False, 0),
    ("ff_modnet", 512, HALF, ("input", "output"), (FLOAT, FLOAT), False, 0),
]


@pytest.mark.parametrize("channel", [0, 2], ids=["red", "blue"])
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_every_network_sees_what_its_contract_says(
    install: Install, case: tuple[str, int, object, tuple[str, str], tuple[int, int], bool, int], channel: int
) -> None:
    model_id, side, normalization, names, kinds, logits, extra = case
    model = network(
        side,
        channel,
        normalization,  # type: ignore[arg-type]
        names=names,
        kinds=kinds,
        logits=logits,
        extra_outputs=extra,
    )
    hub = install(model_id, model)
    image = picture(side, side)
    mask = hub.segmenter().segment(image).values
    shown = image.rgb[:, :, channel].astype(np.float32)
    reading = Catalog.load().get(model_id).parameters["map"]
    expected = (shown - 26) / (229 - 26) if reading == "minmax" else shown / 255
    assert mask.shape == (side, side)
    assert np.abs(mask - expected).max() <= (0.004 if HALF_FLOAT in kinds else 1e-4)


def test_u2net_divides_by_the_brightest_value(install: Install) -> None:
    # 127.5 of 255 lies at one half; of 102 it lies beyond one. The stretch is undone by a black and a white pixel.
    hub = install("u2netp", network(320, 0, IMAGENET, names=("input.1", "1959")))
    pixels = np.zeros((320, 320, 3), np.uint8)
    pixels[:, 160:] = 51
    pixels[0, 0] = (40, 102, 40)
    mask = hub.segmenter().segment(Image(pixels)).values
    # The graph answers red / 102: 0.5 at most, so that the stretch makes it 1 and 40/51 of it in the corner.
    assert mask[100, 200] == pytest.approx(1.0, abs=1e-5)
    assert mask[0, 0] == pytest.approx(40 / 51, abs=1e-5)
    # Divided by 255 the largest answer would have been 0.2: below what counts as having seen anything.
    dark = install("rmbg_1_4", network(1024, 0, CENTER))
    faint = dark.segmenter().segment(Image(np.full((64, 64, 3), 51, np.uint8))).values
    assert faint.max() == pytest.approx(0.2, abs=1e-3)


def test_a_picture_without_a_subject_gets_no_invented_one(install: Install) -> None:
    hub = install("ben2_base", network(1024, 0, NONE, kinds=(FLOAT, HALF_FLOAT)))
    rng = np.random.default_rng(0)
    nothing = Image(rng.integers(0, 20, (90, 120, 3)).astype(np.uint8))
    assert hub.segmenter().segment(nothing).values.max() < 0.1


def test_hivision_modnet_is_shown_blue_first(install: Install) -> None:
    hub = install("hivision_modnet", network(512, 0, HALF))
    image = picture(512, 512)
    mask = hub.segmenter("hivision_modnet").segment(image).values
    assert np.abs(mask - image.rgb[:, :, 2] / 255).max() < 1e-4


@pytest.mark.parametrize(
    ("width", "height", "shown"),
    [
        (1200, 900, (672, 512)),
        (300, 200, (768, 512)),
        (600, 400, (576, 384)),
        (40, 30, (672, 512)),
        (9000, 600, (2048, 128)),
    ],
)
def test_modnet_keeps_the_aspect_in_multiples_of_32(width: int, height: int, shown: tuple[int, int]) -> None:
    contract = MattingContract(512, Normalization.HALF, Reading.CLIP, multiple=32)
    assert contract.input_size(width, height) == Size(*shown)


def test_modnet_takes_the_picture_at_that_size(install: Install) -> None:
    hub = install("modnet_photographic", network(None, 0, HALF))
    image = picture(576, 384)
    mask = hub.segmenter().segment(image).values
    assert np.abs(mask - image.rgb[:, :, 0] / 255).max() < 1e-4


@pytest.mark.parametrize("logits", [False, True], ids=["probabilities", "logits"])
def test_pphumanseg_reads_the_second_of_two_classes(install: Install, logits: bool) -> None:
    nodes = [
        helper.make_node("Gather", ["x", "plane"], ["red"], axis=1),
        helper.make_node("Mul", ["red", "half"], ["scaled"]),
        helper.make_node("Add", ["scaled", "half"], ["person"]),
        helper.make_node("Sub", ["one", "person"], ["background"]),
        helper.make_node("Concat", ["background", "person"], ["both"], axis=1),
        helper.make_node("Log", ["both"], ["y"]) if logits else helper.make_node("Identity", ["both"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([0], np.int64), "plane"),
        numpy_helper.from_array(np.array(0.5, np.float32), "half"),
        numpy_helper.from_array(np.array(1, np.float32), "one"),
    ]
    graph = helper.make_graph(
        nodes,
        "pphumanseg",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 192, 192])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 192, 192])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    image = picture(192, 192)
    mask = install("pphumanseg", model).segmenter().segment(image).values
    assert np.abs(mask - image.rgb[:, :, 0] / 255).max() < 1e-3


def test_other_people_are_left_out(install: Install) -> None:
    hub = install("rmbg_2_0", network(1024, 0, IMAGENET, names=("pixel_values", "alphas")))
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[50:250, 50:200] = 255
    pixels[50:250, 400:550] = 255
    segmenter = hub.segmenter()
    both = segmenter.segment(Image(pixels)).values
    one = segmenter.segment(Image(pixels), Box(90, 80, 150, 150)).values
    assert both[150, 120] > 0.95
    assert both[150, 480] > 0.95
    assert one[150, 120] > 0.95
    assert one[150, 480] < 0.05


@pytest.mark.parametrize(
    "model",
    [network(256, 0, NONE), helper.make_model(helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])], "g",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 512])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 512])],
    ), opset_imports=[helper.make_opsetid("", 17)], ir_version=9)],
    ids=["another size", "no picture"],
)  # fmt: skip
def test_another_network_is_refused_when_it_is_loaded(install: Install, model: onnx.ModelProto) -> None:
    with pytest.raises(ModelLoadError):
        install("ben2_base", model).segmenter()


def test_values_that_are_not_numbers_are_an_error(install: Install) -> None:
    hub = install("birefnet_lite", network(1024, 0, IMAGENET, names=("input_image", "output_image"), logits=True))
    white = np.full((64, 64, 3), 255, np.uint8)  # the graph divides by zero
    with pytest.raises(InferenceError, match="not numbers"):
        hub.segmenter().segment(Image(white))


def test_every_matting_row_has_an_adapter() -> None:
    assert {row.architecture for row in Catalog.load().by_task(Task.MATTING)} <= ARCHITECTURES[Task.MATTING]
