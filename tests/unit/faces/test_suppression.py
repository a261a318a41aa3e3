import numpy as np
import pytest

from facecraft.faces.suppression import blend, overlaps, suppress

BOXES = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float64)


def test_overlap_is_shared_area_over_union() -> None:
    assert overlaps(BOXES[0], BOXES) == pytest.approx([1.0, 90 / 110, 0.0])


def test_the_surest_of_a_group_stays_and_strangers_stay_too() -> None:
    assert suppress(BOXES, np.array([0.6, 0.9, 0.7]), 0.3) == [1, 2]


def test_nothing_to_suppress_is_fine() -> None:
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.3) == []


def test_blending_weighs_by_score_and_reports_the_best_score() -> None:
    values, scores = blend(BOXES, np.array([0.9, 0.3, 0.5]), BOXES, 0.3)
    assert values[0] == pytest.approx([0.25, 0, 10.25, 10])
    assert values[1] == pytest.approx(BOXES[2])
    assert scores == pytest.approx([0.9, 0.5])
