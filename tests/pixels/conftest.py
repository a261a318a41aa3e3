"""Small pictures drawn as letters, so that a test shows what it expects to see."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

COLORS = {
    ".": (0, 0, 0),
    "W": (255, 255, 255),
    "R": (255, 0, 0),
    "G": (0, 255, 0),
    "B": (0, 0, 255),
    "n": (128, 128, 128),
}

Draw = Callable[[str], NDArray[np.uint8]]
DrawMask = Callable[[str], NDArray[np.float32]]
Letters = Callable[[NDArray[np.uint8]], str]


def rows(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


@pytest.fixture
def draw() -> Draw:
    """Letters to RGB pixels, one letter a pixel."""
    return lambda text: np.array([[COLORS[c] for c in line] for line in rows(text)], np.uint8)


@pytest.fixture
def draw_mask() -> DrawMask:
    """Digits to alpha: 0 is 0, 9 is 1, x is one half."""
    return lambda text: np.array([[0.5 if c == "x" else int(c) / 9 for c in line] for line in rows(text)], np.float32)


@pytest.fixture
def letters() -> Letters:
    """RGB pixels back to letters; ``?`` for a colour that has none."""
    names = {color: name for name, color in COLORS.items()}
    return lambda pixels: "\n".join("".join(names.get(tuple(int(v) for v in p), "?") for p in row) for row in pixels)
