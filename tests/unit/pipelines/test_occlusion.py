"""What lies in front of a face stays: networks that call half of it hair, glasses or skin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facecraft import RestorePresetOptions, SwapPresetOptions
from facecraft.faces.alignment import ARCFACE_128, FFHQ_512, FaceTemplate, align
from facecraft.faces.face import Face
from facecraft.faces.parts import FacePart
from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Image
from facecraft.studio import Result
from services.tiny_networks import half_occlusion, half_parser, tiny_studio

EDGE = 3
"""Pixels of the picture within which the border between both halves may lie."""


def _made(work: str, astronaut: Image, *places: Path, more: dict[str, bytes], occlusion: str = "auto") -> Result:
    """Swap or restore, with networks that change every pixel that they may."""
    with tiny_studio(*places, more=more) as studio:
        if work == "swap":
            return studio.swap(astronaut, astronaut, SwapPresetOptions(consent=True, swap_occlusion=occlusion))
        options = RestorePresetOptions(restore_strength=1.0, identity="off", restore_occlusion=occlusion)
        return studio.restore(astronaut, options)


def _sides(done: Result, astronaut: Image, template: FaceTemplate, size: int) -> tuple[bool, bool]:
    """Whether the left and the right half of the face were changed; both halves as a crop of ``template`` shows them."""
    (record,) = done.report.faces
    box = Box(0, 0, 1, 1)
    to_crop = align(astronaut, Face(box, 1.0, np.array(record.landmarks)), template, size).transform
    rows, columns = np.indices(astronaut.rgb.shape[:2])
    across: NDArray[np.float64] = to_crop(np.stack([columns.ravel(), rows.ravel()], axis=1).astype(float))[:, 0]
    right = (across.reshape(rows.shape) - (size - 1) / 2) / to_crop.scale
    changed = np.abs(done.image.rgb.astype(int) - astronaut.rgb).max(axis=2) > 0
    return bool(changed[right < -EDGE].any()), bool(changed[right > EDGE].any())


@pytest.mark.parametrize(
    ("work", "part", "drawn_over"),
    [
        ("swap", FacePart.HAIR, False),
        ("swap", FacePart.BACKGROUND, False),
        ("swap", FacePart.GLASSES, False),
        ("swap", FacePart.NOSE, True),
        ("restore", FacePart.HAIR, False),
        ("restore", FacePart.GLASSES, True),
    ],
)
def test_what_covers_half_of_the_face_is_not_drawn_over(
    tmp_path: Path, models_dir: Path, astronaut: Image, work: str, part: FacePart, *, drawn_over: bool
) -> None:
    done = _made(work, astronaut, tmp_path, models_dir, more={"bisenet_resnet18": half_parser(part)})
    assert _sides(done, astronaut, FFHQ_512, 512) == (True, drawn_over)
    assert done.report.models["face_parsing"] == "bisenet_resnet18"


def test_an_occlusion_network_says_it_too(tmp_path: Path, models_dir: Path, astronaut: Image) -> None:
    done = _made("swap", astronaut, tmp_path, models_dir, more={"ff_xseg_3": half_occlusion()})
    assert _sides(done, astronaut, ARCFACE_128, 128) == (True, False)
    assert done.report.models["face_occlusion"] == "ff_xseg_3"


@pytest.mark.parametrize("work", ["swap", "restore"])
def test_off_and_a_missing_model_draw_over_all(tmp_path: Path, models_dir: Path, astronaut: Image, work: str) -> None:
    hair = {"bisenet_resnet18": half_parser(FacePart.HAIR)}
    off = _made(work, astronaut, tmp_path / "off", models_dir, more=hair, occlusion="off")
    missing = _made(work, astronaut, tmp_path / "missing", models_dir, more={})
    assert _sides(off, astronaut, FFHQ_512, 512) == (True, True)
    assert np.array_equal(off.image.pixels, missing.image.pixels)
    assert "face_parsing" not in {**off.report.models, **missing.report.models}
    assert missing.report.warnings == ()
