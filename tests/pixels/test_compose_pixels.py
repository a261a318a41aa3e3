"""Composing, pasting back and feathering of pictures drawn as letters."""

from __future__ import annotations

import numpy as np
import pytest

from facecraft.imaging import compositing
from facecraft.imaging.geometry import Size, Transform


def shift(x: float, y: float) -> Transform:
    return Transform(np.array([[1.0, 0.0, x], [0.0, 1.0, y]]))


def test_over(draw, draw_mask):
    out = compositing.over(draw("WWW"), draw_mask("90x"), draw("RRR"))
    assert out.tolist() == [[[255, 255, 255], [255, 0, 0], [255, 128, 128]]]


def test_red_stays_red(letters):
    assert letters(compositing.solid(Size(2, 1), (255, 0, 0))) == "RR"


def test_cutout_forgets_what_was_cut_away(draw, draw_mask):
    out = compositing.cutout(draw("RGB"), draw_mask("90x"))
    assert out.tolist() == [[[255, 0, 0, 255], [0, 0, 0, 0], [0, 0, 255, 128]]]


def test_backdrop_fills_the_frame(draw, letters):
    assert letters(compositing.backdrop(draw("RRGBWW\nRRGBWW"), Size(2, 2))) == "GB\nGB"


def test_paste_back_touches_only_where_the_mask_is(draw, draw_mask, letters):
    frame = draw("""
        .....
        .....
        .....
        .....
    """)
    crop = draw("""
        RGB
        WWW
    """)
    mask = draw_mask("""
        990
        090
    """)
    out = compositing.paste_back(frame, crop, shift(1, 1), mask)
    assert letters(out) == ".....\n.RG..\n..W..\n....."
    assert not frame.any()


@pytest.mark.parametrize(
    ("x", "y", "expected"), [(-1, 0, "W...\n...."), (3, 1, "....\n...R"), (0, -1, "....\n...."), (9, 9, "....\n....")]
)
def test_paste_back_over_the_border(draw, draw_mask, letters, x, y, expected):  # noqa: PLR0917
    frame = draw("....\n....")
    out = compositing.paste_back(frame, draw("RW"), shift(x, y), draw_mask("99"))
    assert letters(out) == expected


def test_paste_back_into_the_frame_itself(draw, draw_mask, letters):
    frame = draw("....")
    out = compositing.paste_back(frame, draw("R"), shift(2, 0), draw_mask("9"), out=frame)
    assert out is frame
    assert letters(frame) == "..R."


def test_a_crop_that_went_through_nothing_leaves_the_frame(draw, draw_mask):
    """An identity restorer must give the picture back, with colour matching too."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (40, 40, 3), np.uint8)
    mask = np.ones((10, 10), np.float32)
    for match in (0.0, 1.0):
        out = compositing.paste_back(frame, frame[5:15, 8:18].copy(), shift(8, 5), mask, match_color=match)
        assert np.array_equal(out, frame)


def test_color_matching_moves_a_crop_to_its_surroundings():
    rng = np.random.default_rng(0)
    frame = (120 + rng.integers(-20, 20, (40, 40, 1)) + np.array([30, 0, -20])).astype(np.uint8)
    crop = frame[10:30, 10:30].copy()
    cast = np.clip(crop.astype(int) + np.array([-25, 5, 40]), 0, 255).astype(np.uint8)
    mask = np.ones((20, 20), np.float32)
    plain = compositing.paste_back(frame, cast, shift(10, 10), mask)
    matched = compositing.paste_back(frame, cast, shift(10, 10), mask, match_color=1.0)
    assert np.abs(plain.astype(int) - frame).max() >= 35
    assert np.abs(matched.astype(int) - frame).mean() < 2


def test_feather_stays_inside_and_ends_at_zero(draw_mask):
    mask = np.zeros((40, 40), np.float32)
    mask[8:32, :30] = 1
    soft = compositing.feather(mask, 6)
    assert (soft <= mask).all()
    assert soft[20, 15] == 1
    assert soft[8, 15] < 0.2
    assert soft[:, 0].max() < 0.2  # the picture's border counts as an edge
    along = soft[8:16, 15]
    assert (np.diff(along) >= 0).all()
    assert 0 < along[3] < 1
