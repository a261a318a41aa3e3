"""Exactness of alpha over, and backgrounds without the subject's light."""

from __future__ import annotations

import numpy as np
import pytest

from facecraft.imaging import compositing
from facecraft.imaging.geometry import Size, Transform


def test_over_rounds_like_exact_arithmetic() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 300, 200, 3), np.uint8)
    alpha = rng.random((300, 200), np.float32)
    exact = b + (a.astype(np.float64) - b) * alpha[..., None].astype(np.float64)
    out = compositing.over(a, alpha, b)
    assert np.abs(out - exact).max() <= 0.5001
    assert np.array_equal(compositing.over(a, np.ones_like(alpha), b), a)
    assert np.array_equal(compositing.over(a, np.zeros_like(alpha), b), b)


def test_zero_hidden_keeps_everything_seen() -> None:
    rgba = np.random.default_rng(1).integers(0, 3, (50, 50, 4), np.uint8)
    out = compositing.zero_hidden(rgba)
    assert not out[rgba[:, :, 3] == 0].any()
    assert np.array_equal(out[rgba[:, :, 3] > 0], rgba[rgba[:, :, 3] > 0])


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_blurred_background_has_none_of_the_subject(strength: float) -> None:
    picture = np.full((200, 300, 3), (30, 60, 120), np.uint8)
    alpha = np.zeros((200, 300), np.float32)
    alpha[40:200, 80:220] = 1
    picture[40:200, 80:220] = (255, 250, 240)
    out = compositing.blurred(picture, alpha, strength=strength)
    assert out.shape == picture.shape
    assert np.abs(out.astype(int) - (30, 60, 120)).max() <= 2


def test_blurred_background_is_smoother_when_stronger() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (200, 200, 3), np.uint8)
    alpha = np.zeros((200, 200), np.float32)
    spread = [float(compositing.blurred(noise, alpha, strength=s).std()) for s in (0.0, 0.5, 1.0)]
    assert spread[0] > 2 * spread[1] > 2 * spread[2]


def test_blurred_survives_a_picture_that_is_all_subject() -> None:
    picture = np.full((40, 30, 3), 99, np.uint8)
    assert (compositing.blurred(picture, np.ones((40, 30), np.float32)) == 99).all()


def test_paste_back_in_a_large_frame_works_only_under_the_crop() -> None:
    """Its memory must follow the crop: a float copy of this frame would take 480 MB."""
    import tracemalloc

    frame = np.zeros((5000, 8000, 3), np.uint8)
    crop = np.full((256, 256, 3), 200, np.uint8)
    place = Transform.similarity(scale=0.8, degrees=12, source=(128, 128), target=(4000, 2500))
    tracemalloc.start()
    try:
        compositing.paste_back(frame, crop, place, np.ones((256, 256), np.float32), out=frame)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frame[2500, 4000].tolist() == [200, 200, 200]
    assert int((frame[:, :, 0] > 0).sum()) == pytest.approx((256 * 0.8) ** 2, rel=0.02)
    assert peak < 20_000_000


def test_solid_order_is_red_green_blue() -> None:
    assert compositing.solid(Size(2, 2), (1, 2, 3))[1, 1].tolist() == [1, 2, 3]
