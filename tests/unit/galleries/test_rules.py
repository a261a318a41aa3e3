"""What may be enrolled."""

from __future__ import annotations

import numpy as np
import pytest

from facecraft.errors import EmbeddingMismatchError, InvalidOptionError
from facecraft.galleries import rules
from facecraft.galleries.records import NewFace


@pytest.mark.parametrize("name", ["", "   ", "a\x00b", "a\nb", "\ud800", "x" * 301])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidOptionError):
        rules.check_name(name)


@pytest.mark.parametrize("details", [{"a": float("nan")}, {"a": object()}, {"a": "x" * 5000}, {"a": "\x00"}])
def test_details_that_cannot_be_kept_are_refused(details: dict) -> None:
    with pytest.raises(InvalidOptionError):
        rules.check_details(details)


def test_details_that_contain_themselves_are_refused() -> None:
    details: dict = {}
    details["again"] = details
    with pytest.raises(InvalidOptionError):
        rules.check_details(details)


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(8, np.float32),
        np.full(8, np.nan, np.float32),
        np.full(8, np.inf, np.float32),
        np.ones((2, 8), np.float32),
        np.empty(0, np.float32),
        np.array(["a"]),
        np.ones(5000, np.float32),
    ],
)
def test_a_vector_without_a_direction_is_refused(vector: np.ndarray) -> None:
    with pytest.raises(InvalidOptionError):
        rules.check_faces([NewFace(vector)])


def test_vectors_are_scaled_to_unit_length_exactly() -> None:
    rows = rules.check_faces([NewFace(np.array([3e30, 4e30], np.float32)), NewFace(np.array([0.0, -2.0], np.float32))])
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0.0, -1.0]], atol=1e-7)
    assert rows.dtype == np.float32


def test_vectors_of_different_lengths_do_not_belong_together() -> None:
    with pytest.raises(EmbeddingMismatchError):
        rules.check_faces([NewFace(np.ones(4, np.float32)), NewFace(np.ones(5, np.float32))])


def test_a_crop_must_have_bytes() -> None:
    with pytest.raises(InvalidOptionError):
        rules.check_faces([NewFace(np.ones(4, np.float32), crop=b"")])


def test_vectors_come_back_bit_for_bit() -> None:
    rows = rules.unit(np.random.default_rng(1).standard_normal((5, 7)).astype(np.float32))
    np.testing.assert_array_equal(rules.from_bytes([rules.to_bytes(row) for row in rows], 7), rows)
