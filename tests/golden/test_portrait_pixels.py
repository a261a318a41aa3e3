"""A portrait made by the imaging steps alone looks as it did when somebody looked at it.

To accept a change on purpose: delete the picture, run this test twice, look at the new one, commit it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facecraft.imaging import codecs
from facecraft.imaging.compositing import blurred, over
from facecraft.imaging.geometry import Box, Size, Transform
from facecraft.imaging.image import Image
from facecraft.imaging.resample import warp
from facecraft.imaging.shapes import Shape, shape_mask
from facecraft.imaging.tone import ToneOptions, tone

PICTURES = Path(__file__).parent / "pictures"
SIZE = Size(160, 200)


@pytest.mark.parametrize("shape", [Shape.OVAL, Shape.ROUNDED])
def test_portrait(astronaut: Image, shape: Shape) -> None:
    place = Transform.similarity(scale=0.62, degrees=-6, source=(230, 150), target=(80, 85))
    picture = warp(astronaut.pixels, place, SIZE)
    face = place.box(Box(172, 62, 288, 240))
    toned = tone(picture.pixels, picture.inside, ToneOptions(contrast=0.8, sharpen=0.6), face=face)
    alpha = shape_mask(SIZE, shape, feather=6)
    result = over(toned, alpha, blurred(toned, alpha * picture.inside))

    golden = PICTURES / f"portrait_{shape.value}.png"
    if not golden.exists():
        golden.write_bytes(codecs.encode_png(result, level=9))
        pytest.fail(f"{golden.name} was missing and has been written: look at it, then run again")
    difference = np.abs(result.astype(int) - codecs.decode(golden.read_bytes()).pixels)
    # Other builds of OpenCV round differently; a shift, a tint or a lost edge is far above this.
    assert difference.mean() < 1.0
    assert np.percentile(difference, 99.5) <= 10
