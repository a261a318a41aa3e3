"""Comparing vectors: similarities, verdicts, and what is never compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from facecraft.errors import EmbeddingMismatchError
from facecraft.pipelines.recognition import compare


@dataclass(frozen=True)
class Known:
    """Vectors with what is known of their model."""

    vectors: NDArray[np.float32]
    model_id: str = "sface"
    threshold: float | None = 0.5
    false_match_rate: float | None = 0.001


def _units(*angles: float) -> NDArray[np.float32]:
    turns = np.radians(angles)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)


def test_every_face_is_compared_with_every_face() -> None:
    done = compare(Known(_units(0, 90)), Known(_units(0, 50, 180)))
    assert done.similarity == pytest.approx(np.array([[1, 0.643, -1], [0, 0.766, 0]]), abs=1e-3)
    assert done.matches is not None
    assert done.matches.tolist() == [[True, True, False], [False, True, False]]
    assert (done.threshold, done.false_match_rate, done.model_id) == (0.5, 0.001, "sface")


def test_a_threshold_of_ones_own_has_no_stated_rate() -> None:
    done = compare(Known(_units(0)), Known(_units(50)), threshold=0.9)
    assert (done.threshold, done.false_match_rate) == (0.9, None)
    assert done.matches is not None
    assert not done.matches.any()


def test_without_a_threshold_there_is_no_verdict() -> None:
    silent = Known(_units(0), threshold=None, false_match_rate=None)
    assert compare(silent, silent).matches is None


def test_vectors_of_different_models_are_never_compared() -> None:
    with pytest.raises(EmbeddingMismatchError, match="sface cannot be compared with faces embedded with dlib_resnet"):
        compare(Known(_units(0)), Known(_units(0), model_id="dlib_resnet"))
