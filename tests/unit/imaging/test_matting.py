"""Refinement, guided enlargement and edge colours on pictures whose exact alpha and colours are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Alpha, Mask, Pixels
from facecraft.imaging.matting import Refine, foreground, keep_touching, refine, upsample

FRONT = np.array([200.0, 60.0, 40.0])
BACK = np.array([30.0, 110.0, 190.0])


def disk(size: int, radius: float, soft: float) -> Alpha:
    """A disk in the middle whose edge falls linearly over ``soft`` pixels."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.clip((radius - np.hypot(x, y)) / soft + 0.5, 0, 1).astype(np.float32)


def composite(alpha: Alpha, front: np.ndarray = FRONT, back: np.ndarray = BACK, noise: float = 2.0) -> Pixels:
    mixed = alpha[..., None] * front + (1 - alpha[..., None]) * back
    mixed = mixed + np.random.default_rng(3).normal(0, noise, mixed.shape)
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def coarse_of(alpha: Alpha, blur: float, shift: int = 3) -> Alpha:
    """What a small network would say: blurred and a little out of place."""
    moved = np.roll(alpha, (shift, -shift), axis=(0, 1))
    return np.clip(cv2.GaussianBlur(moved, (0, 0), blur), 0, 1).astype(np.float32)


@pytest.mark.parametrize(("quality", "allowed"), [(Refine.FINE, 0.35), (Refine.FAST, 0.45)])
def test_a_blurred_and_shifted_mask_is_pulled_onto_the_true_edge(quality: Refine, allowed: float) -> None:
    true = disk(480, 150, 4)
    coarse = coarse_of(true, 6)
    found = refine(composite(true), coarse, quality=quality)
    before, after = np.abs(coarse - true).mean(), np.abs(found - true).mean()
    assert after < allowed * before
    inside, outside = true == 1, true == 0
    assert (found[inside] > 0.9).mean() > 0.99
    assert (found[outside] < 0.1).mean() > 0.99


def test_the_edge_stays_soft_where_the_picture_is_soft() -> None:
    true = disk(480, 150, 16)
    found = refine(composite(true), coarse_of(true, 8, shift=0))
    mixed = (true > 0.2) & (true < 0.8)
    assert np.abs(found[mixed] - true[mixed]).mean() < 0.12
    assert ((found[mixed] > 0.05) & (found[mixed] < 0.95)).mean() > 0.85


@pytest.mark.parametrize("quality", list(Refine))
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2), (3, 3), (5, 300), (64, 64)])
def test_constant_masks_and_tiny_pictures_are_survived(quality: Refine, value: float, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    out = refine(pixels, np.full(shape, value, np.float32), quality=quality)
    Mask(out)
    assert out.shape == shape
    if value != 0.5:
        assert (out == value).all()
    colors = foreground(pixels, out)
    assert colors.shape == pixels.shape
    assert colors.dtype == np.uint8


@pytest.mark.parametrize("quality", list(Refine))
def test_inputs_are_left_alone_and_the_result_is_the_same_every_time(quality: Refine) -> None:
    true = disk(200, 60, 5)
    pixels, coarse = composite(true), coarse_of(true, 4)
    kept_pixels, kept_coarse = pixels.copy(), coarse.copy()
    pixels.flags.writeable = coarse.flags.writeable = False
    first, second = (refine(pixels, coarse, quality=quality) for _ in range(2))
    assert (first == second).all()
    assert (pixels == kept_pixels).all()
    assert (coarse == kept_coarse).all()
    assert first.min() >= 0
    assert first.max() <= 1


def test_specks_and_pinholes_go_but_a_second_person_and_the_gap_under_an_arm_stay() -> None:
    coarse = np.zeros((300, 300), np.float32)
    coarse[50:250, 20:160] = 1  # a person
    coarse[120:124, 80:84] = 0.1  # a pinhole
    coarse[150:190, 60:90] = 0  # the gap under an arm
    coarse[80:240, 200:260] = 1  # a second person
    coarse[10:14, 280:284] = 1  # a speck
    pixels = np.full((300, 300, 3), 90, np.uint8)
    out = refine(pixels, coarse, quality=Refine.NONE)
    assert out[122, 82] == 1
    assert out[170, 75] == 0
    assert out[160, 230] == 1
    assert (out[5:20, 275:290] == 0).all()


def test_doubt_far_from_the_edge_leaves_no_ghost() -> None:
    """A background patch the network half believes in, of the subject's colour, must not stay half transparent."""
    coarse = np.zeros((400, 400), np.float32)
    coarse[150:400, 100:300] = 1
    coarse[20:110, 20:380] = 0.35
    pixels = composite((coarse == 1).astype(np.float32))
    pixels[20:110, 20:380] = FRONT
    out = refine(pixels, coarse)
    assert out[30:100, 30:370].max() < 0.05
    assert out[200:380, 130:270].min() > 0.95


def test_a_subject_cut_by_the_frame_is_opaque_up_to_the_frame() -> None:
    coarse = np.zeros((240, 240), np.float32)
    coarse[80:, 60:180] = 1
    true = coarse.copy()
    out = refine(composite(true), coarse_of(coarse, 3, shift=0).clip(0, 1))
    assert out[-1, 80:160].min() > 0.98


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="mask"):
        refine(np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.float32))


def test_enlarging_follows_the_edges_of_the_large_picture() -> None:
    true = disk(1200, 400, 3)
    pixels = composite(true)
    small = cv2.resize(pixels, (300, 300), interpolation=cv2.INTER_AREA)
    alpha = np.asarray(cv2.resize(true, (300, 300), interpolation=cv2.INTER_AREA), np.float32)
    plain = cv2.resize(alpha, (1200, 1200), interpolation=cv2.INTER_LINEAR)
    found = upsample(alpha, small, pixels)
    assert np.abs(found - true).mean() < 0.4 * np.abs(plain - true).mean()
    assert (found[true == 1] > 0.97).mean() > 0.999
    assert found.dtype == np.float32


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_enlarging_a_constant_keeps_it(value: float) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    small = np.asarray(cv2.resize(pixels, (23, 30), interpolation=cv2.INTER_AREA), np.uint8)
    out = upsample(np.full((30, 23), value, np.float32), small, pixels)
    assert np.allclose(out, value, atol=2e-3)


def test_edge_colours_are_those_of_the_subject_not_of_the_background() -> None:
    alpha = disk(400, 130, 20)
    pixels = composite(alpha, noise=0)
    colors = foreground(pixels, alpha)
    mixed = (alpha > 0.05) & (alpha < 0.95)
    before = np.abs(pixels[mixed] - FRONT).mean()
    after = np.abs(colors[mixed] - FRONT).mean()
    assert after < 0.1 * before
    on_white = colors * alpha[..., None] + 255 * (1 - alpha[..., None])
    truth = FRONT * alpha[..., None] + 255 * (1 - alpha[..., None])
    assert np.abs(on_white - truth)[mixed].max() < 12


def test_opaque_pixels_keep_their_colour_and_near_hidden_ones_take_the_subjects() -> None:
    alpha = disk(300, 90, 6)
    pixels = composite(alpha)
    colors = foreground(pixels, alpha)
    assert (colors[alpha == 1] == pixels[alpha == 1]).all()
    rim = (alpha == 0) & (cv2.dilate(alpha, np.ones((5, 5))) > 0)
    assert np.abs(colors[rim] - FRONT).mean() < 25
    assert (colors[:20, :20] == pixels[:20, :20]).all()


def test_only_the_patch_at_the_face_is_kept() -> None:
    coarse = np.zeros((100, 200), np.float32)
    coarse[20:90, 10:80] = 0.9
    coarse[20:90, 120:190] = 0.9
    coarse[20:90, 110:120] = 0.3  # the soft edge of the other person
    coarse[20:90, 80:88] = 0.3
    out = keep_touching(coarse, Box(30, 30, 60, 60))
    assert (out[:, 110:] == 0).all()
    assert (out[20:90, 10:88] == coarse[20:90, 10:88]).all()
    assert (keep_touching(coarse, Box(92, 2, 98, 8)) == coarse).all()


def test_what_hangs_on_the_person_by_a_thread_is_not_theirs() -> None:
    mask = np.zeros((100, 120), np.float32)
    mask[20:90, 10:60] = 1
    mask[30:60, 70:110] = 1
    mask[44:47, 60:70] = 1  # a bridge of three pixels
    face = Box(25, 30, 45, 50)
    assert keep_touching(mask, face)[45, 90] == 1
    kept = keep_touching(mask, face, neck=3)
    assert kept[45, 90] == 0
    assert (kept[20:90, 10:60] == 1).all()
    mask[30:60, 60:70] = 1  # an arm
    assert keep_touching(mask, face, neck=3)[45, 90] == 1


def test_values_that_are_no_numbers_are_survived() -> None:
    alpha = np.full((40, 40), np.nan, np.float32)
    alpha[:10] = 1.0
    alpha[-5:] = 0.0
    pixels = np.full((40, 40, 3), 90, np.uint8)
    assert np.array_equal(foreground(pixels, alpha), pixels)
