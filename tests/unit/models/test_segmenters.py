"""The selfie segmenter against networks that write down what they are given, and against the real ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Image
from facecraft.inference.session import Tensor, TensorSpec
from facecraft.models.segmenters import SelfieSegmenter

Floats = NDArray[np.float32]


class RecordingSession:
    """A network that answers with a function of its input and keeps every input."""

    device = "cpu"
    size_bytes = 0

    def __init__(self, height: int, width: int, answer: Callable[[Floats], Floats]) -> None:
        self._shape, self._answer = (1, height, width, 3), answer
        self._lock = threading.Lock()
        self.seen: list[Floats] = []

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("input_1", self._shape, np.dtype(np.float32)),)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("out", (*self._shape[:3], 1), np.dtype(np.float32)),)

    def run(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        (tensor,) = inputs.values()
        assert set(inputs) == {"input_1"}
        assert tensor.shape == self._shape
        assert tensor.dtype == np.float32
        assert tensor.flags.c_contiguous
        with self._lock:
            self.seen.append(tensor)
        return {"out": self._answer(tensor[0])[None, :, :, None].astype(np.float32)}

    def close(self) -> None:
        self.seen.clear()


def reddish(picture: Floats) -> Floats:
    """Sees people in everything red."""
    return (picture[:, :, 0] > picture[:, :, 2] + 0.2).astype(np.float32)


def scene(height: int, width: int, *boxes: tuple[int, int, int, int]) -> Image:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:] = (20, 60, 160)
    for x1, y1, x2, y2 in boxes:
        pixels[y1:y2, x1:x2] = (220, 90, 40)
    return Image(pixels)


def networks() -> tuple[RecordingSession, RecordingSession]:
    return RecordingSession(256, 256, reddish), RecordingSession(144, 256, reddish)


def test_networks_get_rgb_between_0_and_1_and_the_whole_frame_first() -> None:
    square, wide = networks()
    image = scene(300, 500, (100, 50, 300, 300))
    SelfieSegmenter(square, wide).segment(image)
    for session in (square, wide):
        first, mirrored = session.seen[:2]
        assert first.min() >= 0
        assert first.max() <= 1
        assert np.allclose(first[0, 5, 5], np.array([20, 60, 160]) / 255, atol=0.01)
        middle = first[0, first.shape[1] // 2, int(0.4 * first.shape[2])]
        assert np.allclose(middle, np.array([220, 90, 40]) / 255, atol=0.01)
        assert np.allclose(mirrored, first[:, :, ::-1])


@pytest.mark.parametrize("shape", [(300, 500), (500, 300), (1600, 900), (64, 64)])
@pytest.mark.parametrize("both", [False, True])
def test_the_mask_lies_on_the_person(shape: tuple[int, int], both: bool) -> None:
    height, width = shape
    person = (width // 4, height // 3, width * 3 // 4, height)
    square, wide = networks()
    mask = SelfieSegmenter(square, wide if both else None).segment(scene(height, width, person))
    true = np.zeros(shape, bool)
    true[person[1] : person[3], person[0] : person[2]] = True
    found = mask.values > 0.5
    assert (mask.height, mask.width) == shape
    assert (found & true).sum() / (found | true).sum() > 0.95
    assert len(square.seen) <= 6
    assert len(wide.seen) <= 5


def test_the_chosen_person_is_kept_and_others_are_left_out() -> None:
    image = scene(400, 800, (60, 100, 300, 400), (500, 100, 740, 400))
    everybody = SelfieSegmenter(*networks()).segment(image).values
    assert everybody[300, 180] > 0.9
    assert everybody[300, 620] > 0.9
    chosen = SelfieSegmenter(*networks()).segment(image, Box(140, 120, 220, 200)).values
    assert chosen[300, 180] > 0.9
    assert chosen[:, 480:].max() < 0.1


def test_a_small_person_in_a_large_picture_is_looked_at_closely() -> None:
    """What is thinner than a pixel of the whole-frame view shows when the network looks at the person alone."""
    image = scene(2400, 3200, (1500, 1000, 1700, 1400))
    square, wide = networks()
    mask = SelfieSegmenter(square, wide).segment(image, Box(1560, 1020, 1640, 1110)).values
    largest = max(float(reddish(tensor[0]).mean()) for tensor in square.seen)
    assert largest > 0.3
    true = np.zeros(mask.shape, bool)
    true[1000:1400, 1500:1700] = True
    found = mask > 0.5
    assert (found & true).sum() / (found | true).sum() > 0.93


@pytest.mark.parametrize("subject", [None, Box(10, 10, 30, 30), Box(-50, -50, -10, -10)])
def test_an_empty_scene_gives_an_empty_mask(subject: Box | None) -> None:
    mask = SelfieSegmenter(*networks()).segment(scene(100, 150), subject)
    assert mask.values.max() < 0.02


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3)])
def test_extreme_shapes_are_survived(shape: tuple[int, int]) -> None:
    image = Image(np.full((*shape, 3), (220, 90, 40), np.uint8))
    mask = SelfieSegmenter(*networks()).segment(image, Box(0, 0, 1, 1))
    assert mask.values.shape == shape
    assert mask.values.min() > 0.9


def test_a_network_that_calls_everything_a_person_is_outvoted() -> None:
    blind = RecordingSession(256, 256, lambda picture: np.ones(picture.shape[:2], np.float32))
    mask = SelfieSegmenter(blind, networks()[1]).segment(scene(400, 400, (100, 150, 300, 400))).values
    assert mask[:100].max() < 0.2
    assert mask[250:, 150:250].min() > 0.9


def test_the_real_networks_find_the_astronaut(models_dir: Path, astronaut: Image) -> None:
    names = ("selfie_segmentation.tflite", "selfie_segmentation_landscape.tflite")
    for name in names:
        if not (models_dir / name).is_file():
            pytest.skip(f"{name} is not installed")
    from facecraft.inference.litert import LiteRtSession

    sessions = [LiteRtSession(models_dir / name, threads=1) for name in names]
    try:
        mask = SelfieSegmenter(*sessions).segment(astronaut, Box(170, 60, 280, 190)).values
        again = SelfieSegmenter(*sessions).segment(astronaut, Box(170, 60, 280, 190)).values
    finally:
        for session in sessions:
            session.close()
    assert mask[120, 225] > 0.95  # the face
    assert mask[400, 150] > 0.9  # the suit
    assert mask[60, 40] < 0.05  # the flag
    assert mask[150, 430] < 0.05  # the shuttle
    assert (mask == again).all()


@pytest.mark.parametrize("subject", [None, Box(150, 80, 250, 180)])
def test_a_quick_look_takes_four_runs_and_finds_the_same_person(subject: Box | None) -> None:
    square, wide = networks()
    picture = scene(400, 400, (130, 60, 270, 390))
    quick = SelfieSegmenter(square, wide).segment(picture, subject, quick=True)
    assert len(square.seen) == len(wide.seen) == 2
    careful = SelfieSegmenter(*networks()).segment(picture, subject)
    assert float(np.abs(quick.values - careful.values).mean()) < 0.02
