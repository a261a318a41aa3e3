"""Cut-outs of a real photo: exact composites of it must be taken apart again."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facecraft.imaging.image import Image
from facecraft.imaging.matting import Refine, foreground, refine


@pytest.fixture(scope="module")
def head(astronaut: Image) -> tuple[np.ndarray, np.ndarray]:
    """The astronaut's head and shoulders and an alpha made by hand: an ellipse for the hair, a box for the suit."""
    pixels = cv2.resize(astronaut.rgb[:340, 40:400], None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC)
    alpha = np.zeros(pixels.shape[:2], np.float32)
    cv2.ellipse(alpha, (282, 150), (88, 118), 0, 0, 360, 1, -1)
    cv2.rectangle(alpha, (110, 330), (440, 509), 1, -1)
    cv2.rectangle(alpha, (220, 240), (340, 340), 1, -1)
    return pixels, cv2.GaussianBlur(alpha, (0, 0), 2.0)


@pytest.mark.parametrize("quality", [Refine.FINE, Refine.FAST])
@pytest.mark.parametrize("backdrop", [(20, 200, 60), (250, 250, 250), (30, 40, 160)])
def test_a_photo_on_a_new_backdrop_is_cut_out_again(
    head: tuple[np.ndarray, np.ndarray], quality: Refine, backdrop: tuple[int, int, int]
) -> None:
    pixels, alpha = head
    mixed = (alpha[..., None] * pixels + (1 - alpha[..., None]) * np.array(backdrop) + 0.5).astype(np.uint8)
    small = cv2.resize(alpha, (64, 60), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(small, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR).clip(0, 1)
    found = refine(mixed, coarse, quality=quality)
    assert np.abs(found - alpha).mean() < 0.6 * np.abs(coarse - alpha).mean()
    colors = foreground(mixed, found)
    edge = (alpha > 0.1) & (alpha < 0.9)
    untouched = np.abs(mixed[edge].astype(float) - pixels[edge]).mean()
    assert np.abs(colors[edge].astype(float) - pixels[edge]).mean() < 0.75 * untouched
    # on black nothing of the backdrop may shine through
    on_black = colors * found[..., None]
    truth = pixels * alpha[..., None]
    assert np.abs(on_black - truth)[edge].mean() < 0.5 * np.abs(mixed * coarse[..., None] - truth)[edge].mean()
