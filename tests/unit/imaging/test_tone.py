"""Tone: the subject decides, skin stays skin, good pictures stay as they are, and 0 means 0."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facecraft.imaging.geometry import Box
from facecraft.imaging.illuminant import decoded, encoded
from facecraft.imaging.image import Image
from facecraft.imaging.tone import Light, ToneOptions, contrast_curve, exposure_curve, sharpened, tone

OFF = ToneOptions(exposure=0, white_balance=0, contrast=0, saturation=0, sharpen=0, denoise=0)
FULL = ToneOptions(exposure=1, white_balance=1, contrast=1, saturation=0, sharpen=0)
FACE = Box(172, 62, 288, 240)
SKIN = (200, 170, 150)


def relit(pixels: NDArray[np.uint8], gains: tuple[float, float, float]) -> NDArray[np.uint8]:
    """The same scene under another light."""
    return np.rint(encoded(decoded(pixels / 255.0) * gains) * 255).astype(np.uint8)


def subject(height: int, width: int) -> NDArray[np.float32]:
    y, x = np.mgrid[:height, :width]
    inside = ((x / width - 0.45) / 0.35) ** 2 + ((y / height - 0.6) / 0.5) ** 2
    return np.clip((1.2 - inside) * 4, 0, 1).astype(np.float32)


def test_all_off_leaves_every_byte(astronaut: Image) -> None:
    assert np.array_equal(tone(astronaut.pixels, None, OFF), astronaut.pixels)
    noise = np.random.default_rng(0).integers(0, 256, (90, 70, 4), np.uint8)
    assert np.array_equal(tone(noise, None, OFF), noise)


@pytest.mark.parametrize("name", ["exposure", "white_balance", "contrast", "saturation", "sharpen", "denoise"])
def test_each_step_does_something_and_more_when_stronger(astronaut: Image, name: str) -> None:
    dull = relit((astronaut.pixels * 0.6 + 30).astype(np.uint8), (0.30, 0.27, 0.17))
    change = [
        float(np.abs(tone(dull, subject(512, 512), OFF.with_changes(**{name: s}), face=FACE).astype(int) - dull).mean())
        for s in (0.3, 1.0)
    ]
    assert 0 < change[0] < change[1]


@pytest.mark.parametrize("part", [0.0, 0.2, 0.4, 0.6, 0.8])
def test_transparent_area_does_not_count(part: float) -> None:
    """The original's faults: a skin patch went from 178 to 212 as more of the picture was transparent black."""
    pixels = np.full((100, 100, 3), SKIN, np.uint8)
    weight = np.ones((100, 100), np.float32)
    hidden = round(100 * part)
    pixels[:hidden], weight[:hidden] = 0, 0
    for options in (ToneOptions(), FULL):
        out = tone(pixels, weight, options)
        assert np.abs(out[-1, 50].astype(int) - SKIN).max() <= 3


def test_a_dark_subject_comes_out_the_same_whatever_surrounds_it(astronaut: Image) -> None:
    dark = relit(astronaut.pixels, (0.3, 0.3, 0.3))
    weight = (subject(512, 512) > 0.5).astype(np.float32)
    options = FULL.with_changes(white_balance=0)
    results = []
    for surrounding in (0, 255):
        pixels = dark.copy()
        pixels[weight == 0] = surrounding
        results.append(tone(pixels, weight, options)[weight > 0])
    assert np.array_equal(*results)
    assert results[0].mean() > dark[weight > 0].mean() + 20


def test_transparency_is_the_weight_of_an_rgba_picture() -> None:
    rgba = np.zeros((60, 60, 4), np.uint8)
    rgba[20:, :, :3], rgba[20:, :, 3] = SKIN, 255
    out = tone(rgba)
    assert np.abs(out[40, 30, :3].astype(int) - SKIN).max() <= 3
    assert np.array_equal(out[:, :, 3], rgba[:, :, 3])


@pytest.mark.parametrize(
    "skin",
    [(200, 170, 150), (246, 237, 228), (215, 189, 150), (160, 126, 86), (130, 92, 67), (96, 65, 52), (58, 49, 42)],
)
def test_skin_of_every_tone_keeps_its_hue(skin: tuple[int, int, int]) -> None:
    """Swatches of the Monk scale among others: white balance alone must not move a patch of skin."""
    rng = np.random.default_rng(0)
    pixels = np.clip(np.array(skin) + rng.integers(-3, 4, (120, 120, 1)), 0, 255).astype(np.uint8)
    out = tone(pixels, None, OFF.with_changes(white_balance=1))
    assert np.abs(out.astype(int) - pixels).mean() <= 3.5


@pytest.mark.parametrize("gains", [(1.1, 0.97, 0.6), (0.8, 0.97, 1.25)])
def test_a_cast_is_reduced_and_never_reversed(astronaut: Image, gains: tuple[float, float, float]) -> None:
    cast = relit(astronaut.pixels, gains)
    out = tone(cast, subject(512, 512), OFF.with_changes(white_balance=1), face=FACE)
    wall = np.s_[40:160, 330:380]  # a light gray wall

    def lean(pixels: NDArray[np.uint8]) -> float:
        r, _, b = decoded(pixels[wall] / 255.0).reshape(-1, 3).mean(0)
        return float(np.log(r / b))

    true, before, after = lean(astronaut.pixels), lean(cast), lean(out)
    assert abs(after - true) < 0.75 * abs(before - true)
    assert (after - 0.5 * true) * (before - true) > -0.02


def test_a_good_photo_is_nearly_left_alone(astronaut: Image) -> None:
    out = tone(astronaut.pixels, subject(512, 512), ToneOptions(), face=FACE)
    assert np.abs(out.astype(int) - astronaut.pixels).mean() < 4


def test_a_flat_photo_gains_depth(astronaut: Image) -> None:
    flat = (astronaut.pixels * 0.45 + 80).astype(np.uint8)
    weight = subject(512, 512)
    out = tone(flat, weight, ToneOptions(), face=FACE)
    assert out[weight > 0.5].std() > 1.2 * flat[weight > 0.5].std()


def test_dark_skin_in_good_light_is_not_lightened() -> None:
    """Mean lightness is low, but the highlights are where they belong."""
    assert np.allclose(exposure_curve(Light(10, 30, 100, 215, 235), 1.0), np.arange(256) / 255)
    lifted = exposure_curve(Light(2, 8, 40, 90, 110), 1.0)
    assert lifted[60] > 90 / 255


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "light",
    [
        Light(0, 2, 20, 60, 80),
        Light(90, 95, 110, 125, 130),
        Light(0, 20, 120, 230, 250),
        Light(180, 200, 230, 254, 255),
        Light(0, 0, 0, 0, 0),
    ],
)
def test_curves_never_turn_round(light: Light, strength: float) -> None:
    for curve in (exposure_curve(light, strength), contrast_curve(light, strength)):
        assert (np.diff(curve) >= -1e-9).all()
        assert curve.min() >= 0
        assert curve.max() <= 1


def test_sharpening_leaves_no_halo_at_the_rim() -> None:
    light = np.full((60, 60), 40, np.uint8)
    light[:, 30:] = 200
    weight = np.zeros((60, 60), np.float32)
    weight[:, 30:] = 1
    out = sharpened(light, weight, 1.0)
    assert out[:, 30:].max() <= 200  # no bright line along the cut
    assert np.array_equal(out[:, :30], light[:, :30])


def test_sharpening_raises_detail_without_overshooting_edges() -> None:
    light = np.full((60, 60), 60, np.uint8)
    light[:, 30:] = 190
    blurred = np.asarray(cv2.GaussianBlur(light, (0, 0), 1.2), np.uint8)
    out = sharpened(blurred, None, 1.0)
    assert np.abs(np.diff(out[30].astype(int))).max() > np.abs(np.diff(blurred[30].astype(int))).max()
    assert out.max() <= 196
    assert out.min() >= 54


def test_denoise_smooths_noise_and_keeps_edges() -> None:
    rng = np.random.default_rng(0)
    clean = np.full((80, 80, 3), 90, np.uint8)
    clean[:, 40:] = 180
    noisy = np.clip(clean + rng.normal(0, 6, clean.shape), 0, 255).astype(np.uint8)
    out = tone(noisy, None, OFF.with_changes(denoise=1))
    assert out[:, 5:35].std() < 0.7 * noisy[:, 5:35].std()
    assert out[:, 42:].mean() - out[:, :38].mean() > 85


def test_nothing_to_judge_by() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    assert np.array_equal(tone(pixels, np.zeros((30, 30), np.float32), FULL), pixels)
    out = tone(pixels, None, FULL, face=Box(-50, -50, -10, -10))
    assert out.shape == pixels.shape


def test_result_does_not_depend_on_being_read_only(astronaut: Image) -> None:
    assert np.array_equal(tone(astronaut.pixels), tone(astronaut.pixels.copy()))
