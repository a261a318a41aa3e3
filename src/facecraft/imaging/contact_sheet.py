"""Pictures side by side on one sheet, transparent ones on a checkerboard, so that an eye can compare them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facecraft.imaging import compositing
from facecraft.imaging.geometry import Size
from facecraft.imaging.image import Pixels
from facecraft.imaging.resample import resize

_GAP = 16
_LABEL = 34
_TILE = 12
_WIDEST = 2
_PAPER = (250, 250, 250)
_INK = (40, 40, 40)
_LIGHT, _DARK = 255, 204


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One picture of a sheet: H×W×3|4 uint8 RGB(A), and what is written above it (ASCII)."""

    label: str
    pixels: Pixels


def contact_sheet(panels: Sequence[Panel], height: int = 480) -> Pixels:
    """Return H×W×3 RGB with the panels from left to right, each ``height`` pixels high in its own proportions.

    A picture wider than twice that is made smaller and stands in the middle. Raises ValueError when there are none.
    """
    if not panels:
        raise ValueError("a contact sheet needs at least one panel")
    pictures = [_opaque(_fitted(panel.pixels, height)) for panel in panels]
    width = sum(picture.shape[1] + _GAP for picture in pictures) + _GAP
    sheet = np.empty((height + _LABEL + 2 * _GAP, width, 3), np.uint8)
    sheet[:] = _PAPER
    left, top = _GAP, _GAP + _LABEL
    for panel, picture in zip(panels, pictures, strict=True):
        first = top + (height - picture.shape[0]) // 2
        sheet[first : first + picture.shape[0], left : left + picture.shape[1]] = picture
        cv2.putText(sheet, panel.label, (left, top - 12), cv2.FONT_HERSHEY_SIMPLEX, 0.55, _INK, 1, cv2.LINE_AA)
        left += picture.shape[1] + _GAP
    return sheet


def checkerboard(size: Size) -> Pixels:
    """Return H×W×3 grey and white tiles, the usual sign for nothing."""
    rows = np.arange(size.height)[:, None] // _TILE
    columns = np.arange(size.width)[None, :] // _TILE
    gray = np.where((rows + columns) % 2, _DARK, _LIGHT).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(gray[:, :, None], 3, axis=2))


def _fitted(pixels: Pixels, height: int) -> Pixels:
    scale = min(height / pixels.shape[0], _WIDEST * height / pixels.shape[1])
    return resize(pixels, Size(max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))))


def _opaque(pixels: Pixels) -> Pixels:
    if pixels.shape[2] == 3:
        return pixels
    alpha = pixels[:, :, 3].astype(np.float32) / np.float32(255)
    behind = checkerboard(Size(int(pixels.shape[1]), int(pixels.shape[0])))
    return compositing.over(np.ascontiguousarray(pixels[:, :, :3]), alpha, behind)
