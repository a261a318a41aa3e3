"""Warps, crops and turns of pictures drawn as letters."""

from __future__ import annotations

import math

import numpy as np
import pytest

from facecraft.imaging.geometry import Size, Transform
from facecraft.imaging.resample import cover, coverage, letterbox, warp, warp_mask


def shift(x: float, y: float) -> Transform:
    return Transform(np.array([[1.0, 0.0, x], [0.0, 1.0, y]]))


def test_identity_changes_nothing(draw, letters):
    picture = draw("""
        RG.W
        .BnR
        WW.G
    """)
    out = warp(picture, Transform.identity(), Size(4, 3))
    assert letters(out.pixels) == "RG.W\n.BnR\nWW.G"
    assert (out.inside == 1).all()


def test_crop_is_exact(draw, letters):
    picture = draw("""
        RG.W
        .BnR
        WW.G
    """)
    assert letters(warp(picture, shift(-1, -1), Size(2, 2)).pixels) == "Bn\nW."


def test_a_crop_beyond_the_border_is_padded_and_says_so(draw, letters):
    picture = draw("""
        RG
        BW
    """)
    out = warp(picture, shift(2, 1), Size(4, 4))
    # The border is repeated, so that whatever is laid underneath gets no dark fringe ...
    assert letters(out.pixels) == "RRRG\nRRRG\nBBBW\nBBBW"
    # ... and the coverage tells the padding from the picture.
    assert np.array_equal(out.inside, [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]])


def test_wholly_outside(draw):
    out = warp(draw("RG"), shift(50, 50), Size(3, 3))
    assert (out.inside == 0).all()


@pytest.mark.parametrize(("degrees", "expected"), [(90, "BR\nWG"), (180, "WB\nGR"), (-90, "GW\nRB")])
def test_quarter_turns_are_exact(draw, letters, degrees, expected):
    picture = draw("""
        RG
        BW
    """)
    turn = Transform.similarity(scale=1, degrees=degrees, source=(0.5, 0.5), target=(0.5, 0.5))
    assert letters(warp(picture, turn, Size(2, 2)).pixels) == expected


def test_halving_averages_whole_blocks(draw):
    picture = draw("""
        WW..RR
        WW..RR
        W.W.GG
        .W.WGG
    """)
    half = Transform.similarity(scale=0.5, degrees=0, source=(0.5, 0.5), target=(0, 0))
    out = warp(picture, half, Size(3, 2)).pixels
    assert np.array_equal(out[0], [(255, 255, 255), (0, 0, 0), (255, 0, 0)])
    assert np.abs(out[1].astype(int) - [(128, 128, 128), (128, 128, 128), (0, 255, 0)]).max() <= 1


def test_colour_of_hidden_pixels_does_not_bleed(draw):
    """Straight alpha: what lies under alpha 0 must not tint the edge when the picture is warped."""
    red = np.zeros((16, 16, 4), np.uint8)
    red[:, :8] = (255, 0, 0, 255)
    red[:, 8:] = (0, 255, 0, 0)
    turn = Transform.similarity(scale=0.8, degrees=20, source=(7.5, 7.5), target=(7.5, 7.5))
    out = warp(red, turn, Size(16, 16)).pixels
    seen = out[out[:, :, 3] > 8]
    assert len(seen) > 50
    assert seen[:, 1].max() <= 2
    assert seen[:, 0].min() >= 250


def test_mask_is_zero_outside(draw_mask):
    mask = draw_mask("""
        99
        99
    """)
    out = warp_mask(mask, shift(1, 1), Size(4, 4))
    assert np.array_equal(out, [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
    assert out.dtype == np.float32


def test_coverage_of_a_turned_picture_has_its_area():
    turn = Transform.similarity(scale=2, degrees=30, source=(9.5, 4.5), target=(40, 40))
    assert math.isclose(float(coverage(Size(20, 10), turn, Size(81, 81)).sum()), 20 * 10 * 4, rel_tol=0.01)


def test_letterbox(draw, letters):
    boxed, place = letterbox(draw("RG"), Size(2, 4), fill=(0, 0, 255))
    assert letters(boxed) == "BB\nRG\nBB\nBB"
    assert np.allclose(place(np.array([[1.0, 0.0]])), [[1, 1]])


def test_cover_cuts_the_longer_side(draw, letters):
    assert letters(cover(draw("RRGWBB\nRRGWBB"), Size(2, 2))) == "GW\nGW"
