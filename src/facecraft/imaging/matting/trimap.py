"""Where a coarse mask can be trusted and where the edge must be looked for."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facecraft.imaging.geometry import Box
from facecraft.imaging.image import Alpha

_LOW, _HIGH = 0.15, 0.85
"""A coarse probability below or above these is certain, away from the edge."""
_FAR = 0.02
"""Farther from the edge than this part of the longer side nothing is left open."""
_ISLAND = 0.02
"""A separate patch smaller than this part of the largest one is an error of the network, not a person."""
_HOLE = 0.004
"""A hole smaller than this part of the subject is filled: the gap under a bent arm is larger."""


@dataclass(frozen=True, slots=True, eq=False)
class Trimap:
    """Three H×W arrays about one picture."""

    known: NDArray[np.bool_]
    start: Alpha
    """0 or 1 where known, the coarse alpha elsewhere."""
    distance: NDArray[np.float32]
    """Pixels to the line where the coarse alpha is one half."""


def tidy(coarse: Alpha) -> Alpha:
    """Return ``coarse`` (H×W float32, 0..1) without specks in the background and pinholes in the subject."""
    subject = (coarse > 0.5).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(subject, connectivity=8)
    if count <= 1:
        return coarse
    out = coarse
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    areas[0] = 0
    largest = int(areas.max())
    small = areas < _ISLAND * largest
    small[0] = False
    if small.any():
        halo = cv2.dilate(small[labels].astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        out = np.where(halo & ((subject == 0) | small[labels]), np.float32(0), out)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - subject, connectivity=4)
    pinhole = stats[:, cv2.CC_STAT_AREA] < _HOLE * largest
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    pinhole &= (left > 0) & (top > 0) & (right < coarse.shape[1]) & (bottom < coarse.shape[0])
    pinhole[0] = False  # label 0 is the subject itself
    if pinhole.any():
        out = np.where(pinhole[labels], np.float32(1), out)
    return out


def trimap(coarse: Alpha, reach: int) -> Trimap:
    """Mark pixels nearer than ``reach`` to an uncertain one, or to the edge, as unknown.

    Uncertain pixels far from the edge (the line of one half) are decided by the side they lie on: left open they
    would become ghosts, half there and half not.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    # beyond the picture nothing is known: a subject cut by the frame stays certain up to it
    inside = cv2.erode((coarse > _HIGH).astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
    outside = cv2.erode((coarse < _LOW).astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
    subject = coarse > 0.5
    far = max(2.0 * reach, _FAR * max(coarse.shape))
    depth = cv2.distanceTransform(subject.astype(np.uint8), cv2.DIST_L2, 3)
    height = cv2.distanceTransform((~subject).astype(np.uint8), cv2.DIST_L2, 3)
    inside |= depth > far
    outside |= height > far
    start = np.where(inside, np.float32(1), np.where(outside, np.float32(0), coarse))
    # without an edge anywhere the distances are infinite
    return Trimap(inside | outside, start, np.minimum(np.maximum(depth, height), np.float32(2 * far)))


def keep_touching(coarse: Alpha, at: Box, *, neck: int = 0) -> Alpha:
    """Return ``coarse`` (H×W float32, 0..1) without the patches above one half that do not reach into ``at`` (pixels).

    Softer pixels go with the patch they are nearest to. Patches that hang together by less than ``2 * neck`` pixels
    count as two. When no patch reaches into ``at`` nothing is removed.
    """
    subject = (coarse > 0.5).astype(np.uint8)
    if neck:
        around = np.ones((2 * neck + 1, 2 * neck + 1), np.uint8)
        subject = np.asarray(cv2.erode(subject, around, borderType=cv2.BORDER_REPLICATE), np.uint8)
    count, labels = cv2.connectedComponents(subject, connectivity=8)
    if count <= 2:
        return coarse
    height, width = coarse.shape
    rows = slice(min(max(int(at.y1), 0), height - 1), max(int(at.y2), 1))
    columns = slice(min(max(int(at.x1), 0), width - 1), max(int(at.x2), 1))
    kept = np.zeros(count, bool)
    kept[np.unique(labels[rows, columns])] = True
    kept[0] = False
    if not kept.any():
        return coarse
    mine = kept[labels]
    others = (subject > 0) & ~mine
    to_mine = cv2.distanceTransform((~mine).astype(np.uint8), cv2.DIST_L2, 3)
    to_others = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, 3)
    return np.where(to_mine <= to_others, coarse, np.float32(0))
