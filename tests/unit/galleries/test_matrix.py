"""The matrix of a gallery, and who comes closest, against the slow and obvious way."""

from __future__ import annotations

import numpy as np
import pytest

from facecraft.galleries.matrix import VectorMatrix, best_people

rng = np.random.default_rng(5)


def obvious(scores: np.ndarray, faces: np.ndarray, people: np.ndarray, top_k: int, threshold: float | None) -> list:
    best: dict[int, tuple[float, int]] = {}
    for score, face, person in zip(scores.tolist(), faces.tolist(), people.tolist(), strict=True):
        if threshold is not None and score < np.float32(threshold):
            continue
        if person not in best or (-score, face) < best[person]:
            best[person] = (-score, face)
    ranked = sorted((score, face, person) for person, (score, face) in best.items())[:top_k]
    return [(person, face, -score) for score, face, person in ranked]


@pytest.mark.parametrize("top_k", [1, 3, 50, 1000])
@pytest.mark.parametrize("threshold", [None, -1.0, 0.3, 0.99, 1.0])
@pytest.mark.parametrize("each", [1, 7, 900])
@pytest.mark.parametrize("steps", [5, 1_000_000])
def test_the_ranking_is_that_of_the_obvious_way(top_k: int, threshold: float | None, each: int, steps: int) -> None:
    """Few steps make many ties; many faces for each person make the best faces belong to few people."""
    count = 900
    scores = (rng.integers(-steps, steps + 1, count) / steps).astype(np.float32)
    faces = rng.permutation(count).astype(np.int64)
    people = np.arange(count, dtype=np.int64) // each
    if each == 7:  # the best faces belong to one person: the first look is not enough
        scores[people == 3] = np.linspace(0.9, 1.0, np.count_nonzero(people == 3), dtype=np.float32)
    found = best_people(scores, faces, people, top_k, threshold)
    got = list(zip(found.people.tolist(), found.faces.tolist(), found.similarities.tolist(), strict=True))
    assert got == obvious(scores, faces, people, top_k, threshold)


def test_one_person_with_all_the_best_faces_does_not_hide_the_second() -> None:
    people = np.array([1] * 5000 + [2], np.int64)
    scores = np.concatenate([np.linspace(0.5, 1, 5000), [0.1]]).astype(np.float32)
    found = best_people(scores, np.arange(5001), people, 2, None)
    assert found.people.tolist() == [1, 2]


def test_nobody_is_found_among_nobody() -> None:
    none = np.empty(0, np.int64)
    assert len(best_people(np.empty(0, np.float32), none, none, 5, None).people) == 0


def test_rows_survive_growing_and_removing() -> None:
    """Random additions and removals, compared with a dictionary."""
    matrix, truth, number = VectorMatrix(8), {}, 0
    for _ in range(60):
        added = rng.standard_normal((int(rng.integers(0, 200)), 8)).astype(np.float32)
        numbers = np.arange(number, number + len(added), dtype=np.int64)
        number += len(added)
        matrix.append(added, numbers, numbers + 1_000_000)
        truth.update(zip(numbers.tolist(), added, strict=True))
        gone = rng.choice(max(number, 1), int(rng.integers(0, 150)))
        matrix.remove(np.append(gone, 10**9).astype(np.int64))
        for one in gone.tolist():
            truth.pop(one, None)
        assert len(matrix) == len(truth)
        assert sorted(matrix.faces.tolist()) == sorted(truth)
        assert (matrix.people == matrix.faces + 1_000_000).all()
    eye = np.eye(8, dtype=np.float32)
    expected = np.stack([truth[one] for one in matrix.faces.tolist()])
    np.testing.assert_allclose(matrix.similarities(eye), expected.T, atol=1e-6)
    np.testing.assert_allclose(matrix.similarities(eye[:1])[0], expected[:, 0], atol=1e-6)


def test_removed_vectors_are_overwritten() -> None:
    matrix = VectorMatrix(4, 10)
    matrix.append(np.ones((10, 4), np.float32), np.arange(10), np.arange(10))
    matrix.remove(np.array([0, 4, 9]))
    assert np.count_nonzero(matrix._vectors) == 7 * 4


def test_memory_grows_with_the_rows() -> None:
    matrix = VectorMatrix(4)
    assert matrix.nbytes == 0
    matrix.append(np.ones((3, 4), np.float32), np.arange(3), np.arange(3))
    assert matrix.nbytes == 3 * (16 + 16)
