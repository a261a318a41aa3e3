"""A sheet shows every panel whole, in order, and transparency as tiles."""

from __future__ import annotations

import numpy as np
import pytest

from facecraft.imaging.contact_sheet import Panel, checkerboard, contact_sheet
from facecraft.imaging.geometry import Size

RED, GREEN = (200, 0, 0), (0, 200, 0)


def plain(color: tuple[int, int, int], width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def columns_of(sheet: np.ndarray, color: tuple[int, int, int]) -> tuple[int, int]:
    found = np.flatnonzero(np.all(sheet == color, axis=2).any(axis=0))
    return int(found[0]), int(found[-1]) + 1


def test_panels_stand_side_by_side_in_order_and_proportion() -> None:
    sheet = contact_sheet([Panel("a", plain(RED, 100, 200)), Panel("b", plain(GREEN, 200, 200))], height=100)
    (red_from, red_to), (green_from, green_to) = columns_of(sheet, RED), columns_of(sheet, GREEN)
    assert red_to - red_from == 50
    assert green_to - green_from == 100
    assert red_to < green_from
    assert int(np.all(sheet == RED, axis=2).any(axis=1).sum()) == 100


def test_a_very_wide_picture_does_not_make_a_very_wide_sheet() -> None:
    sheet = contact_sheet([Panel("wide", plain(RED, 4000, 10))], height=100)
    assert sheet.shape[1] < 300
    assert columns_of(sheet, RED)[1] - columns_of(sheet, RED)[0] == 200


def test_what_is_transparent_shows_the_tiles() -> None:
    clear = np.zeros((48, 48, 4), np.uint8)
    sheet = contact_sheet([Panel("clear", clear)], height=48)
    tiles = checkerboard(Size(48, 48))
    assert {int(value) for value in np.unique(tiles)} == {204, 255}
    windows = np.lib.stride_tricks.sliding_window_view(sheet, tiles.shape).reshape(-1, *tiles.shape)
    assert bool(np.all(windows == tiles, axis=(1, 2, 3)).any())


def test_labels_are_written() -> None:
    panels = [plain(RED, 300, 100)]
    with_label, without = (contact_sheet([Panel(text, panels[0])], height=100) for text in ("before", ""))
    assert bool((with_label != without).any())


def test_an_empty_sheet_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
