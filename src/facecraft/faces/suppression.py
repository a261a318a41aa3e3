"""Leaving one box where a detector, or several of them, reported the same face more than once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def overlaps(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union (N, 0..1) of one xyxy ``box`` (4) with N×4 ``boxes``."""
    w = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0])
    h = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1])
    shared = np.clip(w, 0, None) * np.clip(h, 0, None)
    areas = np.clip(boxes[:, 2] - boxes[:, 0], 0, None) * np.clip(boxes[:, 3] - boxes[:, 1], 0, None)
    area = max(0.0, float(box[2] - box[0])) * max(0.0, float(box[3] - box[1]))
    union = areas + area - shared
    ratio: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio


def suppress(boxes: NDArray[np.float64], scores: NDArray[np.float64], iou: float) -> list[int]:
    """Return the indexes of the boxes (N×4 xyxy) that stay, best score first: greedy non-maximum suppression."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        order = rest[overlaps(boxes[best], boxes[rest]) <= iou]
    return kept


def blend(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], values: NDArray[np.float64], iou: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted suppression: merge each group of overlapping boxes into its score-weighted mean.

    ``boxes`` N×4 xyxy, ``scores`` N, ``values`` N×K (whatever shall be averaged). Returns M×K values and the M
    best scores, best first. It jitters less than picking one box (Bazarevsky et al., BlazeFace, arXiv 1907.05047, §3.4).
    """
    order = np.argsort(-scores, kind="stable")
    merged: list[NDArray[np.float64]] = []
    best_scores: list[float] = []
    while order.size:
        best = int(order[0])
        same = overlaps(boxes[best], boxes[order]) > iou
        same[0] = True
        group = order[same]
        weights = scores[group] / scores[group].sum()
        merged.append(weights @ values[group])
        best_scores.append(float(scores[best]))
        order = order[~same]
    return np.array(merged).reshape(-1, values.shape[1]), np.array(best_scores)
